"""`make bench`: how long a cold and a warm answer take, as one line of JSON.

Cold is from the start of the process, with the files in memory; Lambda adds the time to fetch
the package and to start its machine.
"""

import json
import time
from statistics import median

from lambdas import PACKAGE, TOKEN, event_of, function

from contract import MODEL_NAME, golden

HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
STARTS, CALLS = 5, 500


def main() -> None:
    body = json.dumps(golden()[-1].request).encode()
    event = event_of("POST", f"/v2/models/{MODEL_NAME}/infer", HEADERS, body)
    cold, warm = [], []
    for _ in range(STARTS):
        begun = time.perf_counter()
        with function(LOG_LEVEL="warning") as api:
            assert api.invoke(event)["statusCode"] == 200
            cold.append(time.perf_counter() - begun)
            for _ in range(CALLS):
                begun = time.perf_counter()
                api.invoke(event)
                warm.append(time.perf_counter() - begun)
    size = sum(each.stat().st_size for each in PACKAGE.rglob("*") if each.is_file())
    found = {
        "cold_seconds": round(median(cold), 3),
        "warm_milliseconds_p50": round(1000 * median(warm), 2),
        "warm_milliseconds_p99": round(1000 * sorted(warm)[int(0.99 * len(warm))], 2),
        "package_megabytes": round(size / 1e6),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
