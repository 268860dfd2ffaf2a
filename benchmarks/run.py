"""`make bench`: measures everything side by side, round after round, in an order that turns.

The results of a whole run go to results.json beside this file and are published from there; those
of a part (--only, --quick) go to build/bench/.
"""

import argparse
import json
import signal
import sys
from dataclasses import asdict

import publish
from goals import goals
from machine import machine
from measurements import measurements
from pair import database
from paths import BUILD, PROJECT, RESULTS
from prerequisites import check
from processes import Failed
from project import stamp_out
from results import PARTS, Results, failures
from servers import BY_NAME
from serving import CONNECTIONS, WARM_UP_SECONDS
from tables import report

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of load, each time")
    parser.add_argument("--only", action="append", default=[], choices=[*BY_NAME, *PARTS[1:]])
    parser.add_argument("--quick", action="store_true", help="one round of one second each")
    parser.add_argument("--keep", action="store_true", help="measure the project of the last run")
    return parser.parse_args()


def main() -> int:
    """Measure, write the results, print them.

    Returns:
        1 if a measurement failed, 0 otherwise, whatever goal was missed.
    """
    arguments = parse_arguments()
    rounds, seconds = (1, 1) if arguments.quick else (arguments.rounds, arguments.seconds)
    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    results: Results = {
        "machine": machine(),
        "settings": {
            "rounds": rounds,
            "seconds": seconds,
            "warm_up_seconds": WARM_UP_SECONDS,
            "connections": CONNECTIONS,
        },
    }
    if not (arguments.keep and PROJECT.exists()):
        print("stamping out the default project and training it", flush=True)
        stamp_out()
    if not arguments.only or {"pair", "product"} & {*arguments.only}:
        with database("postgresql"):
            pass  # to fail now if there is none
    chosen = measurements(arguments.only, rounds, seconds)
    for round_ in range(rounds):
        print(f"round {round_ + 1} of {rounds}", flush=True)
        first = round_ * len(chosen) // rounds
        for each in chosen[first:] + chosen[:first]:
            each.run_round()

    for part in PARTS:
        results[part] = [each.result() for each in chosen if each.part == part]
    results["goals"] = [{**asdict(goal), "met": goal.met} for goal in goals(results)]
    whole = not (arguments.only or arguments.quick)
    file = RESULTS if whole else BUILD / "results.json"
    file.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", "utf-8")
    if whole:
        publish.main()
    print(f"\n{report(results)}\n\nwritten to {file}")
    failed = failures(results)
    for name, error in failed.items():
        print(f"FAILED: {name}: {error}")
    return int(bool(failed))


def stop(_number: int, _frame: object) -> None:
    """End in order, servers stopped and the database dropped, and be interrupted only once."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    check()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped; every server has ended")
    except Failed as error:
        sys.exit(str(error))
