"""What the template does itself: check the answers, read the history, place what follows from it.

The hooks call it; `make describe` and `make new` are its modules `describe` and `new`, and a
project's `make update` runs `update`. It uses the standard library and what cookiecutter itself
needs: Jinja2, click and python-slugify.
"""

from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent
"""The template's folder; found at the start, before cookiecutter moves to other folders."""

TAG = "v0.1.0"
"""The release that this is, or comes after: what a project records that is stamped out here."""

RECORD = Path(".template.json")
"""Where a project records the template, its tag and the answers; see `record`."""
