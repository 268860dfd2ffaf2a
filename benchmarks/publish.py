"""Carries results.json to where people read it: the chart, results.md and the README's table."""

import json

import chart
from goals import Results
from places import README, REPORT, RESULTS
from table import report, short

BEGIN, END = "<!-- measured: benchmarks/publish.py writes this -->\n", "<!-- /measured -->"


def page(results: Results) -> str:
    """results.md: every table, and what they were measured on."""
    machine, settings = results["machine"], results["settings"]
    setups = [
        f"- {each['label']} ({each['artifact']}): {each['setup']}"
        for each in results["contestants"]
    ]
    wrong = [f"- {name}: {fault}" for name, fault in results["disqualified"].items()]
    parts = [
        "# Results",
        "`make bench` wrote this from results.json, which holds every round as well.",
        f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']},"
        f" Python {machine['python']}, wrk {machine['wrk']}; {settings['rounds']} rounds of"
        f" {settings['seconds']} s, of which medians (and the least and the greatest). The load of"
        f" the machine before the run was {machine['load before']:.1f}.",
        report(results),
        "## How each was set up",
        "\n".join(setups),
    ]
    if wrong:
        parts += ["## Disqualified", "\n".join(wrong)]
    return "\n\n".join(parts) + "\n"


def readme(text: str, results: Results) -> str:
    """The README with the table of these results."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{README}: lacks {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}{short(results)}\n{end}{after}"


def main() -> None:
    """Write all three."""
    results = json.loads(RESULTS.read_text("utf-8"))
    chart.main()
    REPORT.write_text(page(results), "utf-8")
    README.write_text(readme(README.read_text("utf-8"), results), "utf-8")


if __name__ == "__main__":
    main()
