"""Place the first {{ cookiecutter.entity.replace('_', ' ') }} at a pair that is starting: `first.py URL KEY_FILE`."""

import json
import sys
import time
from pathlib import Path

from contract import TARGET, Inputs, examples
from demo import PLURAL, post
from pair import DIRECT

READY_WITHIN_SECONDS = 120.0


def wait_until_ready(url: str) -> None:
    """Return once the product answers with its model; exit with what is wrong if it does not."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    reason = ""
    while time.monotonic() < deadline:
        try:
            with DIRECT.open(f"{url}/readyz", timeout=5) as answer:
                found = json.load(answer)
            if found["model"] == "ok":
                return
            reason = "the model does not answer"
        except OSError as error:
            reason = str(error)
        time.sleep(0.2)
    sys.exit(f"{url}: not ready after {READY_WITHIN_SECONDS:.0f} s: {reason}")


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
