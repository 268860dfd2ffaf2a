"""`make bench`: everything side by side, round after round in turning order.

The results of a whole run go to results.json beside this file and are published from there; those
of a part (--only, --quick) go to build/bench/.
"""

import argparse
import json
import signal
import sys
from dataclasses import asdict
from typing import Any

import needs
import publish
from contestants import CONTESTANTS
from entries import PARTS, Entry, entries
from goals import goals, summary
from machine import machine
from pair import check_server
from places import BENCH, PROJECT, RESULTS
from processes import Failed
from project import stamp
from table import report
from visit import CONNECTIONS, WARM_UP

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def options() -> argparse.Namespace:
    """The command line."""
    names = [each.name for each in CONTESTANTS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of load, each time")
    parser.add_argument("--only", action="append", default=[], choices=[*names, *PARTS])
    parser.add_argument("--quick", action="store_true", help="one round of one second each")
    parser.add_argument("--keep", action="store_true", help="measure the project of the last run")
    return parser.parse_args()


def results_of(found: list[Entry], about: dict[str, Any]) -> dict[str, Any]:
    """The results, with every ratio that matters."""

    def part(name: str) -> list[Entry]:
        return [each for each in found if each.part == name]

    results: dict[str, Any] = {
        **about,
        "contestants": [each.result() for each in part("contestants")],
        "workers": {
            each.about["name"]: summary(each.found) for each in part("workers") if each.found
        },
        "pair": [each.result() for each in part("pair")],
        "bulk": {
            name: spread
            for each in part("bulk")
            if each.found
            for name, spread in summary(each.found).items()
        },
    }
    results["disqualified"] = {each.name: each.fault for each in found if each.fault}
    results["goals"] = [{**asdict(each), "met": each.met} for each in goals(results)]
    return results


def main() -> int:
    """Measure, write the results, print them.

    Returns:
        1 if anything was disqualified, 0 otherwise, whatever goal was missed.
    """
    chosen = options()
    rounds, seconds = (1, 1) if chosen.quick else (chosen.rounds, chosen.seconds)
    for ending in ENDINGS:
        signal.signal(ending, stop)
    about = {
        "machine": machine(),
        "settings": {
            "rounds": rounds,
            "seconds": seconds,
            "warm-up seconds": WARM_UP,
            "connections": CONNECTIONS,
        },
    }
    if not (chosen.keep and PROJECT.exists()):
        print("stamping out the default project and training it", flush=True)
        stamp()
    if not chosen.only or "pair" in chosen.only:
        check_server()
    found = entries(chosen.only, rounds, seconds)
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", flush=True)
        turned = number * len(found) // rounds
        for each in found[turned:] + found[:turned]:
            each.visit()

    results = results_of(found, about)
    whole = not (chosen.only or chosen.quick)
    file = RESULTS if whole else BENCH / "results.json"
    file.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", "utf-8")
    if whole:
        publish.main()
    print(f"\n{report(results)}\n\nwritten to {file}")
    for name, fault in results["disqualified"].items():
        print(f"DISQUALIFIED: {name}: {fault}")
    return int(bool(results["disqualified"]))


def stop(number: int, _frame: object) -> None:
    """End in order, servers stopped and the database dropped, however often this is asked."""
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    needs.check()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped; every server has ended")
    except Failed as error:
        sys.exit(str(error))
