"""Check the answers and stage the history, as `stamping/answers.py` says."""

import json
import sys

sys.path.insert(
    0,
    json.loads(r"""
{{ template_folder | tojson }}
"""),
)

from stamping.answers import main

main(
    json.loads(r"""
{{ cookiecutter | tojson }}
""")
)
