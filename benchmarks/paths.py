"""Where files are: everything a run makes is in build/bench/, its results are beside this file."""

from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent
TEMPLATE = BENCHMARKS.parent
PEERS = BENCHMARKS / "peers"
RESULTS = BENCHMARKS / "results.json"
CHART = BENCHMARKS / "chart.svg"
REPORT = BENCHMARKS / "results.md"
README = TEMPLATE / "README.md"

BUILD = TEMPLATE / "build" / "bench"
PROJECT = BUILD / "order-wait-times"
VENVS = BUILD / "venvs"
LOGS = BUILD / "logs"
HOME = BUILD / "home"
"""The home folder of every measured process, so that none reads a person's settings."""
