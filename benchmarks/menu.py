"""`make menu`: every deployment of the menu, measured in one run on one machine.

Stamps the default project out with all dishes, trains it, asks each deployment for its numbers,
round after round, and writes docs/menu.md, menu.json and menu.svg. A dish measures itself: its
`make bench` prints the same numbers as JSON on its last line.
"""

import argparse
import json
import os
import shutil
import sys
import time
import tomllib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import menu_page
from lines import lines_of, lines_of_dish
from machine import machine
from paths import BENCHMARKS, BUILD, TEMPLATE
from processes import Failed, run_command
from results import summary

PROJECT = BUILD / "menu" / "order-wait-times"
ABOUT = tomllib.loads((BENCHMARKS / "deployments.toml").read_text("utf-8"))
WAYS = {
    "library": "library:artifacts",
    "subprocess": "subprocess:",
    "socket": "http+unix://run/menu.sock",
    "port": "http://127.0.0.1:{port}",
}
MEASURING = {**os.environ, "PYTHONPATH": str(PROJECT / "dishes/knative/tests")}
"""Where `measuring.py` is, with which all servers are measured."""
BULK_ROWS = 1_000_000
NUMBERS = ("one_row_ms", "rows_per_second", "start_seconds", "memory_mb", "shipped_mb")
"""What is measured of each; `null` where it has no meaning."""
Numbers = dict[str, Any]


def main() -> int:
    """Measure and publish; 1 if a measurement failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", default=[], choices=ABOUT)
    parser.add_argument("--keep", action="store_true", help="measure the project of the last run")
    parser.add_argument("--publish", action="store_true", help="the page again, from menu.json")
    arguments = parser.parse_args()
    if arguments.publish:
        menu_page.write(json.loads(menu_page.NUMBERS.read_text("utf-8")), ABOUT, whole=True)
        return 0
    results: dict[str, Any] = {"machine": machine(), "rounds": arguments.rounds, "deployments": {}}
    if not (arguments.keep and PROJECT.exists()):
        stamp_out()
    rounds: dict[str, list[Numbers]] = {name: [] for name in arguments.only or ABOUT}
    errors: dict[str, str] = {}
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", flush=True)
        for name in rounds:
            if name not in errors:
                measure(name, number, rounds[name], errors)
    for name, found in rounds.items():
        outcome: Numbers = {"error": errors[name]} if name in errors else medians(found)
        results["deployments"][name] = {**outcome, "lines": lines(name)}
    menu_page.write(results, ABOUT, whole=not (arguments.only or errors))
    for name, error in errors.items():
        print(f"FAILED: {name}: {error}")
    return int(bool(errors))


def stamp_out() -> None:
    """Stamp the default project out with every dish, set it up, train it."""
    print("stamping out the default project with every dish, and training it", flush=True)
    shutil.rmtree(PROJECT, ignore_errors=True)
    tools = Path(sys.executable).parent
    dishes = " ".join(sorted({about["dish"] for about in ABOUT.values() if "dish" in about}))
    stamp = [str(tools / "cookiecutter"), "--no-input", "--default-config"]
    run_command(*stamp, "--output-dir", PROJECT.parent, TEMPLATE, f"__dishes={dishes}")
    make("setup", "dev/.venv/ready", "train")


def make(*arguments: str) -> str:
    """Run make in the project; what it printed."""
    tools = Path(sys.executable).parent
    command = ["make", "--silent", f"UV={tools / 'uv'}", f"PYTHON={sys.executable}"]
    return run_command(*command, *arguments, cwd=PROJECT, environment=os.environ)


def measure(name: str, number: int, rounds: list[Numbers], errors: dict[str, str]) -> None:
    """Measure a deployment in a round; its numbers, or why there are none."""
    print(f"  {name:14}", end="", flush=True)
    start = time.monotonic()
    own: dict[str, Callable[[], Numbers]] = {way: partial(measure_way, way) for way in WAYS}
    own["bulk"] = measure_bulk
    try:
        found = own.get(name, partial(measure_dish, name, number))()
    except (Failed, ValueError) as error:
        errors[name] = str(error)[-2000:]
        print(f"FAILED: {errors[name]}", flush=True)
        return
    rounds.append(found)
    shown = " ".join(f"{key}={found[key]:.4g}" for key in NUMBERS if found[key] is not None)
    print(f"{shown}  [{time.monotonic() - start:.0f} s]", flush=True)


def measure_dish(name: str, number: int) -> Numbers:
    """Of what a dish prints, which may have several deployments by name, the numbers of one."""
    found = bench(ABOUT[name]["dish"], number)
    return {**dict.fromkeys(NUMBERS), **found.get(name, found)}


@cache
def bench(dish: str, number: int) -> Numbers:
    """What `make bench` of a dish prints in a round."""
    del number
    return last_line(make("--no-print-directory", "-C", f"dishes/{dish}", "bench"))


def measure_way(way: str) -> Numbers:
    """One of the ways that need no dish, as the service goes them."""
    url = WAYS[way].format(port=19_000 + os.getpid() % 1000)
    script = [PROJECT / "dev/.venv/bin/python", BENCHMARKS / "project_scripts/way.py"]
    return last_line(run_command(*script, url, cwd=PROJECT, environment=MEASURING))


def measure_bulk() -> Numbers:
    """`model predict` of a Parquet file of a million rows."""
    script = [PROJECT / "model/.venv/bin/python", BENCHMARKS / "project_scripts/bulk_rates.py"]
    return last_line(run_command(*script, f"{BULK_ROWS}", cwd=PROJECT, environment=MEASURING))


def last_line(printed: str) -> Numbers:
    """The numbers that a measurement prints at its end."""
    return dict(json.loads(printed.splitlines()[-1]))


def medians(rounds: list[Numbers]) -> Numbers:
    """The median of each number over the rounds, the least and the greatest; None where none is."""
    have = [key for key, value in rounds[0].items() if isinstance(value, int | float)]
    found = summary([{key: each[key] for key in have} for each in rounds])
    return {**dict.fromkeys(NUMBERS), **found}


def lines(name: str) -> int:
    """The lines of source that a team owns for it."""
    about = ABOUT[name]
    if "dish" in about:
        return lines_of_dish(PROJECT / "dishes" / about["dish"])
    return sum(lines_of(path) for pattern in about["files"] for path in PROJECT.glob(pattern))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped")
    except Failed as error:
        sys.exit(str(error))
