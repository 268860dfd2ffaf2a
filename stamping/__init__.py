"""What the template does itself: check the answers, read the history, place what follows from it.

The hooks call it. It uses the standard library alone.
"""
