"""What callers of the model server notice while the version that it serves is changed."""

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from runpy import run_path
from statistics import median, quantiles
from typing import Any

from paths import BENCHMARKS, BUILD, PROJECT, TEMPLATE
from processes import Failed, clean, run_command, running
from project import HISTORY, MODEL, model_file, run_script, sample
from servers import BY_NAME, COMPILED, MODEL_FILES, OURS, SKLEARN, first_output
from serving import WARM_UP_SECONDS, Running, check, check_every_row, started, wait_until_ready
from steady import Answer, put_steady_load

STORE = PROJECT / "artifacts-swaps"
SOCKET = PROJECT / "run/swaps.sock"
PERIODS = {"folder": 1, "bucket": 2}
"""Seconds from one swap to the next, by where the store is."""
STRETCH = 8
"""How many times as long as the load of other parts each of the STRETCHES is."""
STRETCHES = ("before", "during", "after")
RATE = 200
"""Requests a second."""


@cache
def versions() -> tuple[str, str]:
    """The current version, and one of a history that is a row shorter, both of them in STORE."""
    current = model_file(COMPILED).parent
    if not STORE.exists():
        shorter = BUILD / "shorter.csv"
        shorter.write_text("".join(HISTORY.read_text("utf-8").splitlines(True)[:-1]), "utf-8")
        new = STORE.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(current.parent, new)
        train: list[str | Path] = [MODEL, "train", "--data", shorter, "--force", "--no-promote"]
        run_command(*train, environment={**os.environ, "MODEL_STORE": str(new)}, cwd=PROJECT)
        new.rename(STORE)
    (other,) = {each.name for each in STORE.iterdir() if each.is_dir()} - {current.name}
    return current.name, other


@contextmanager
def store(kind: str) -> Iterator[dict[str, str]]:
    """The settings for a store with both versions, the first one current: a folder, or a bucket."""
    first, other = versions()
    shutil.copy(model_file(COMPILED).parent.parent / "log.jsonl", STORE)
    folder = {"MODEL_STORE": str(STORE)}
    if kind == "folder":
        yield folder
        return
    os.environ["CLIENTS_PYTHON"] = str(TEMPLATE / ".venv-clients/bin/python")
    bucket_server = run_path(str(TEMPLATE / "tests/machinery/model/bucket_server.py"))
    with bucket_server["bucket_server"]() as (_, settings):
        url, cache = bucket_server["URL"], BUILD / "swaps-cache"
        shutil.rmtree(cache, ignore_errors=True)
        bucket = {**settings, "MODEL_STORE": url, "MODEL_CACHE": str(cache)}
        for version in (first, other):
            environment = clean({**settings, **folder})
            run_command(MODEL, "push", url, version, environment=environment, cwd=PROJECT)
        promote: list[str | Path] = [
            MODEL,
            "promote",
            first,
            "--force",
            "--reason",
            "the first one",
        ]
        run_command(*promote, environment=clean(bucket), cwd=PROJECT)
        yield bucket


@contextmanager
def serving(settings: dict[str, str]) -> Iterator[Running]:
    """The model server, ready, with two workers at a socket."""
    environment = {"MODEL_URL": "http+unix://run/swaps.sock", "MODEL_WORKERS": "2", **settings}
    with started(BY_NAME[OURS], environment) as server:
        # Relative, since a socket's path may have no more than 107 bytes.
        target = replace(server.target, socket=os.path.relpath(SOCKET))
        server = replace(server, target=target)
        wait_until_ready(server)
        check_every_row(server)
        yield server


def measure_swaps(kind: str, seconds: int) -> dict[str, Any]:
    """One round: the load's latencies before, during and after swaps, and how long those take."""
    length, period = STRETCH * seconds, PERIODS[kind]
    with store(kind) as settings, serving(settings) as server:
        begin = time.monotonic() + WARM_UP_SECONDS + 1
        times = [f"{begin + length + period * number}" for number in range(length // period)]
        script = BENCHMARKS / "project_scripts/promote_and_roll_back.py"
        command: list[str | Path] = [MODEL.with_name("python"), script, versions()[1], *times]
        with running("swaps-promotions", command, settings, PROJECT) as promotions:
            warm = begin - WARM_UP_SECONDS
            answers = put_steady_load(
                server.target, RATE, warm, WARM_UP_SECONDS + len(STRETCHES) * length
            )
            if promotions.exit_status() != 0:
                raise Failed(f"promotions: {promotions.log.read_text('utf-8')}")
            swaps = json.loads(promotions.log.read_text("utf-8"))
    check_answers(answers)
    took = list(seconds_of(swaps, begin + 2 * length, answers))
    found = {
        name: latencies(answers, begin + number * length, length)
        for number, name in enumerate(STRETCHES)
    }
    return {
        **found,
        "swaps": len(took),
        "everywhere_seconds": median(took),
        "everywhere_seconds_at_most": max(took),
        "requests": len(answers),
        "repeated": sum(each.tries > 1 for each in answers),
        "failed": sum(each.response is None for each in answers),
    }


def check_answers(answers: Sequence[Answer]) -> None:
    """Raise Failed unless each response is what scikit-learn predicts with the version it names."""
    files = {version: STORE / version / MODEL_FILES[SKLEARN] for version in versions()}
    expected = {
        version: sample(run_script("sklearn_predictions.py", file))
        for version, file in files.items()
    }
    answered = [each for each in answers if each.response]
    check(
        [first_output(each.response) for each in answered],
        [expected[each.response["model_version"]][each.body] for each in answered],
    )


def latencies(answers: Sequence[Answer], begin: float, length: float) -> dict[str, float]:
    """The latencies of the requests that were due in a stretch."""
    found = [1e3 * each.seconds for each in answers if begin <= each.due < begin + length]
    percentiles = quantiles(found, n=100)
    return {"p50_ms": percentiles[49], "p99_ms": percentiles[98], "max_ms": max(found)}


def seconds_of(
    swaps: Sequence[tuple[float, str]], end: float, answers: Sequence[Answer]
) -> Iterator[float]:
    """How long after each promotion another version still answered.

    Raises:
        Failed: it did so until the next promotion.
    """
    served = sorted(
        (it.due + it.seconds, it.response["model_version"]) for it in answers if it.response
    )
    for (began, version), (until, _) in pairwise([*swaps, (end, "")]):
        window = [each for each in served if began < each[0] < until]
        if not window or window[-1][1] != version:
            raise Failed(f"{version} was not served everywhere within {until - began:.1f} s")
        yield max((at - began for at, found in window if found != version), default=0.0)
