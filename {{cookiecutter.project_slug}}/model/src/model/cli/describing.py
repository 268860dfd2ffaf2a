"""What a person asks first about a version."""

import json
from collections.abc import Mapping
from typing import Any

import click

from contract import TARGET
from model.artifacts.manifest import METRIC, Manifest
from model.artifacts.store import Store


def rejected(manifest: Manifest) -> str:
    """The words on the rows whose target was out of all proportion, if there were any."""
    if not (found := manifest.outliers):
        return ""
    limits = f"{TARGET.name} is not between {found.low:.6g} and {found.high:.6g}"
    return f"{found.rows} of {manifest.data.rows} rows rejected, since their {limits}"


def found_better(manifest: Manifest, evidence: Mapping[str, Any]) -> str:
    """Why the gate has no objection, in words."""
    evaluation, compared = manifest.evaluation, evidence.get(METRIC)
    if compared:
        other = f"{compared['current']:.4g} of the current version"
        return f"{METRIC} {compared['new']:.4g}, and {other}, on {evidence['rows']} later rows"
    if evaluation:
        values = (each[METRIC] for each in (evaluation.metrics, evaluation.baseline))
        return "{} {:.4g}, and {:.4g} of a constant".format(METRIC, *values)
    return ""


def describe(store: Store, manifest: Manifest) -> None:
    """Print it."""
    data, code = manifest.data, manifest.code
    compiled, evaluation = manifest.compiled, manifest.evaluation
    dirty = ", with changes that are not committed" if code and code.dirty else ""
    engine = f"scikit-learn, not compiled: {compiled.reason}"
    if not compiled.reason:
        engine = f"the compiled model, which agrees with scikit-learn on {compiled.rows} rows"
        engine += f" (relative error at most {compiled.worst:.1g})"
    judged = "not: the past 80 % of the rows hold one class only"
    if evaluation:
        judged = f"a model of {evaluation.past} rows on {evaluation.later} later ones"
        judged += f" (split: {evaluation.split}); this version was then fitted to all of them"
    lines = {
        "version": manifest.version + " (current)" * store.is_current(manifest),
        "trained": f"{manifest.created_at:%Y-%m-%d %H:%M:%S} UTC on {data.rows} rows",
        "data": "; and ".join(
            f"{each.source}, {each.rows} rows, sha256 {each.sha256[:12]}"
            for each in data.parts or [data]
        ),
        "WARNING": "trained on SYNTHETIC data: the predictions mean nothing" * data.synthetic,
        "caveat": data.caveat,
        "outliers": rejected(manifest),
        "constant or empty": ", ".join(manifest.uninformative),
        "commit": f"{code.commit[:12]}{dirty}" if code else None,
        "packages": ", ".join(f"{name} {it}" for name, it in manifest.packages.items()),
        "predicted by": engine,
        "fallback": json.dumps(manifest.fallback, ensure_ascii=False),
        "judged": judged,
    }
    if evaluation:
        for name, value in evaluation.metrics.items():
            lines[name] = f"{value:.4g}  (baseline {evaluation.baseline[name]:.4g})"
        for name, gain in evaluation.importance.items():
            limits = f"{gain.low:.3g} to {gain.high:.3g}"
            lines[f"without {name}"] = f"{METRIC} {gain.mean:+.4g}  (95 % interval {limits})"
        for number, each in enumerate(evaluation.candidates, start=1):
            score = "no score" if each.score is None else f"score {each.score:.4g}"
            lines[f"candidate {number}"] = f"{score}  {each.name}"
    for name, line in lines.items():
        if line:
            click.echo(f"{name:>24}  {line}")
