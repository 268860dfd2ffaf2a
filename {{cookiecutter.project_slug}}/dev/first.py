"""Place the first {{ cookiecutter.entity.replace('_', ' ') }} at a pair that is starting: `first.py URL KEY_FILE`."""

import json
import sys
from pathlib import Path

from contract import TARGET, Inputs, examples
from demo import PLURAL, post
from pair import wait_until_ready


def main() -> None:
    """Send the first of the examples, as a caller with this key, and show the answer."""
    url, key = sys.argv[1], Path(sys.argv[2]).read_text().strip()
    wait_until_ready(url)
    example = examples()[0]
    inputs = {name: example[name] for name in Inputs.model_fields if name in example}
    placed = post(f"{url}/{PLURAL}", inputs, key)
    print(f"POST {url}/{PLURAL}")
    print(json.dumps(placed, indent=2, ensure_ascii=False))
    print(f"it turned out to be {json.dumps(example[TARGET.name], ensure_ascii=False)}")
    if placed["metadata"]["served_by"] != "model":
        sys.exit("the model did not answer")


if __name__ == "__main__":
    main()
