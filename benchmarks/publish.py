"""Publishes results.json: the chart, results.md and the table in the README."""

import json

from chart import draw
from paths import CHART, README, REPORT, RESULTS
from results import Results, failures
from tables import report, servers_for_readme

BEGIN, END = "<!-- measured: benchmarks/publish.py writes this -->\n", "<!-- /measured -->"


def page(results: Results) -> str:
    """results.md: every table, and what they were measured on."""
    machine, settings = results["machine"], results["settings"]
    measured = [*results["servers"], *results.get("product", [])]
    setups = dict.fromkeys(f"- {it['label']} ({it['model']}): {it['setup']}" for it in measured)
    failed = [f"- {name}: {error}" for name, error in failures(results).items()]
    parts = [
        "# Results",
        "`make bench` wrote this from results.json, which holds every round as well.",
        f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']},"
        f" Python {machine['python']}, wrk {machine['wrk']}; {settings['rounds']} rounds of"
        f" {settings['seconds']} s, of which medians (and the least and the greatest). The load of"
        f" the machine before the run was {machine['load_before']:.1f}.",
        report(results),
        "## How each was set up",
        "\n".join(setups),
    ]
    if failed:
        parts += ["## Failed", "\n".join(failed)]
    return "\n\n".join(parts) + "\n"


def readme(text: str, results: Results) -> str:
    """The README with the table of these results."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{README}: lacks {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}{servers_for_readme(results)}\n{end}{after}"


def main() -> None:
    """Write all three."""
    results = json.loads(RESULTS.read_text("utf-8"))
    CHART.write_text(draw(results), "utf-8")
    REPORT.write_text(page(results), "utf-8")
    README.write_text(readme(README.read_text("utf-8"), results), "utf-8")


if __name__ == "__main__":
    main()
