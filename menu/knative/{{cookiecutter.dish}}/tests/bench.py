"""`make bench`: how long a start takes from nothing, and a warm answer, as one line of JSON.

A start is from that of the process to the first prediction, with the image there and its files in
memory; Knative adds the schedule of a Pod and the fetch of the image.
"""

import json
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from container import HEADERS, running

from contract import MODEL_NAME, golden

INFER = f"/v2/models/{MODEL_NAME}/infer"
STARTS, CALLS = 5, 1000


def main() -> None:
    body = json.dumps(golden()[-1].request).encode()
    cold, warm = [], []
    for _ in range(STARTS):
        begun = time.perf_counter()
        with (
            tempfile.TemporaryDirectory() as folder,
            running(Path(folder), LOG_LEVEL="warning") as container,
        ):
            container.wait()
            assert container.call("POST", INFER, body)[0] == 200
            cold.append(time.perf_counter() - begun)
            connection = HTTPConnection("127.0.0.1", container.port)
            for _ in range(CALLS):
                begun = time.perf_counter()
                connection.request("POST", INFER, body, HEADERS)
                connection.getresponse().read()
                warm.append(time.perf_counter() - begun)
            connection.close()
    found = {
        "cold_seconds": round(median(cold), 3),
        "warm_milliseconds_p50": round(1000 * median(warm), 2),
        "warm_milliseconds_p99": round(1000 * sorted(warm)[int(0.99 * len(warm))], 2),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
