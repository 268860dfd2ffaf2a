"""What has to be there where a compiled version is served by Python."""

import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path


def shipped_mb() -> float:
    """Megabytes of what serves a compiled version: the packages that it needs, and its graph."""
    pins = Path("model/requirements-serving.txt").read_text("utf-8")
    packages = set(re.findall(r"(?m)^([A-Za-z0-9._-]+)==", pins))
    total = max(path.stat().st_size for path in Path("artifacts").glob("*/model.onnx"))
    for package in packages:
        with suppress(PackageNotFoundError):  # of another system
            total += sum(path.size or 0 for path in files(package) or [])
    return total / 1e6
