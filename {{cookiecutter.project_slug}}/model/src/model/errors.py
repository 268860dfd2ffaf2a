"""The one error of this package."""


class ModelError(Exception):
    """What a person can put right; the text is one line that says what is wrong and what to do."""
