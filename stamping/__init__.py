"""What the template does itself: check the answers, read the history, place what follows from it.

The hooks call it; `make describe` and `make new` are its modules `describe` and `new`. It uses the
standard library and what cookiecutter itself needs: Jinja2, click and python-slugify.
"""

from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent
"""The template's folder; found at the start, before cookiecutter moves to other folders."""
