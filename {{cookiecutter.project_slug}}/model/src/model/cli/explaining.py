"""Explain one prediction, step by step."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic_core import to_json

from contract import TARGET, Derived
from model.artifacts.manifest import MODEL_FILE
from model.artifacts.opening import open_store
from model.artifacts.verification import check_whole
from model.cli.predicting import features_of
from model.errors import ModelError, explained
from model.settings import load_settings

if TYPE_CHECKING:
    from model.columns import Columns
    from model.engines.encoding import Encoded

BAR = 20
"""Characters of the longest bar."""


@click.command()
@click.argument("row", required=False)
@click.option("--version", help="Ask this version instead of the current one.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def explain(row: str | None, version: str | None, as_json: bool) -> None:
    """Explain the prediction for a ROW in JSON, by default on standard input, step by step."""
    from model.engines.explaining import explain as explain_row
    from model.engines.loading import Model

    settings = load_settings()
    folder, keys = open_store(settings).folder(version), settings.model_verify_keys
    model = Model.load(folder, keys)
    columns = features_of(sys.stdin.read() if row is None else row, "the row")
    with explained("the row: the model fails on it", kinds=(Exception,)):
        found = explain_row(model, columns)
    encoded = _encode(folder, keys, columns)
    if as_json:
        click.echo(to_json({**found.model_dump(), "encoded": encoded and encoded._asdict()}))
        return
    values = {each.feature: each.value for each in found.contributions}
    derived = {name: values.pop(name) for name in Derived.model_fields if name in values}
    _show("input", values)
    _show("derived", derived)
    if encoded:
        present = {name: value for name, value in encoded.columns.items() if value != 0}
        _show(f"encoded for {encoded.estimator}; what is not here is 0", present)
        _show("multiplied by the coefficients", encoded.products)
    what = f"probability of {found.of}" if found.of else TARGET.name
    _show(f"{what}{'' if found.exact else ', estimated'}", {"for a typical row": found.typical})
    by_size = sorted(found.contributions, key=lambda each: -abs(each.contribution))
    for each in by_size:
        bar = "█" * round(BAR * abs(each.contribution / (by_size[0].contribution or 1)))
        words = f"{each.feature} {_text(each.value)}, typically {_text(each.typical)}"
        click.echo(f"{each.contribution:>+14.6g}  {bar:<{BAR}}  {words}")
    click.echo(f"{_text(found.prediction):>14}  predicted by version {found.version}")


def _encode(folder: Path, keys: Sequence[Path], columns: "Columns") -> "Encoded | None":
    """What the estimator gets; None, with a line that says why, where scikit-learn cannot tell."""
    try:
        with explained("not encoded", kinds=(Exception,)), warnings.catch_warnings():
            warnings.simplefilter("error")  # such as that another scikit-learn has made it
            from model.engines.encoding import encode
            from model.engines.sklearn import SklearnEngine

            reference = SklearnEngine.load(check_whole(folder, keys, MODEL_FILE))
            return encode(reference.pipeline, columns)
    except ModelError as error:
        click.echo(f"model: {error}", err=True)
        return None


def _show(title: str, values: Mapping[str, object]) -> None:
    if values:
        lines = (f"{_text(value):>14}  {name}" for name, value in values.items())
        click.echo("\n".join([title, *lines]))


def _text(value: object) -> str:
    return (
        "missing" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    )
