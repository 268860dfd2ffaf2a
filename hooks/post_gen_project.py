"""Place what was staged and print the next steps, as `stamping/placing.py` says."""

import json
import sys

sys.path.insert(
    0,
    json.loads(r"""
{{ template_folder | tojson }}
"""),
)

from stamping.placing import main

main(
    json.loads(r"""
{{ cookiecutter | tojson }}
""")
)
