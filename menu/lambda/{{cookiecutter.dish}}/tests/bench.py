"""`make bench`: the function's process measured, as one line of JSON.

A start is that of the process, with its files in memory; Lambda adds the time to fetch the package
and to start its machine. One environment answers one call at a time, so there is one caller.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from lambdas import PACKAGE, TOKEN, event_of, function
from measuring import Running, files_mb, measure, show
from servers import JSON

from contract import MODEL_NAME, golden

HEADERS = {"Authorization": f"Bearer {TOKEN}", **JSON}
BODY = json.dumps(golden()[-1].request).encode()
EVENT = event_of("POST", f"/v2/models/{MODEL_NAME}/infer", HEADERS, BODY)


@contextmanager
def start() -> Iterator[Running]:
    with function(LOG_LEVEL="warning") as api:

        def ask() -> None:
            result = api.invoke(EVENT)
            assert result["statusCode"] == 200, result

        yield Running(api.process, lambda: ask)


if __name__ == "__main__":
    show({**measure(start, callers=1), "shipped_mb": files_mb(PACKAGE)})
