"""Where things are: what is measured is made anew in build/bench/, the results stay here."""

from pathlib import Path

HERE = Path(__file__).resolve().parent
TEMPLATE = HERE.parent
PEERS = HERE / "peers"
RESULTS = HERE / "results.json"
CHART = HERE / "chart.svg"
REPORT = HERE / "results.md"
README = TEMPLATE / "README.md"

BENCH = TEMPLATE / "build" / "bench"
PROJECT = BENCH / "order-wait-times"
VENVS = BENCH / "venvs"
LOGS = BENCH / "logs"
HOME = BENCH / "home"
"""The home folder of every process that is measured, so that none reads a person's settings."""
