"""One prediction: for values given by name, or explained step by step."""

import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic_core import to_json

from contract import INPUTS, TARGET, Derived
from contract.tensors import PROBABILITIES
from contract.types import KINDS
from model.artifacts.manifest import MODEL_FILE
from model.artifacts.opening import open_store
from model.artifacts.verification import check_whole
from model.cli.predicting import features_of
from model.errors import ModelError, explained
from model.settings import load_settings

if TYPE_CHECKING:
    from contract.explanation import Explanation
    from model.columns import Columns
    from model.engines.encoding import Encoded

BAR = 20
"""Characters of the longest bar."""


@click.command()
@click.argument("values", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("--version", help="Ask this version instead of the current one.")
def ask(values: Sequence[str], version: str | None) -> None:
    """Predict for one row given by name, such as hour=11.9 day=Thu; and what each feature adds.

    What may be missing can be left out. The fallback is what the product says when it cannot ask.
    """
    from model.engines.explaining import explain as explain_row
    from model.engines.loading import Model

    settings = load_settings()
    row = json.dumps(dict(_parsed(values)), default=str)
    columns = features_of(row, "the row")
    model = Model.load(open_store(settings).folder(version), settings.model_verify_keys)
    with explained("the row: the model fails on it", kinds=(Exception,)):
        (prediction,), found = model.predict(columns).rows(), explain_row(model, columns)
    of = f"; probability of {found.of}" if found.of else ""
    _show(TARGET.name, {f"predicted by version {found.version}": prediction[TARGET.name]})
    _show("probabilities", prediction.get(PROBABILITIES, {}))
    _show("fallback", {"while the model cannot be asked": model.manifest.fallback[TARGET.name]})
    _show(f"from what is typical{of}", {"for a typical row": found.typical})
    _show_contributions(found)


def _parsed(words: Sequence[str]) -> Iterator[tuple[str, object]]:
    """The name and the value in each word; raises ModelError for what is no input's."""
    kinds = {each.name: KINDS[each.kind] for each in INPUTS}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or name not in kinds:
            known = " ".join(f"{each}=…" for each in kinds)
            raise ModelError(f"{word!r:.40}: none of {known}")
        with explained(name):
            yield name, kinds[name].parse(text) if text else None


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
    _show_contributions(found)
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


def _show_contributions(found: "Explanation") -> None:
    by_size = sorted(found.contributions, key=lambda each: -abs(each.contribution))
    for each in by_size:
        bar = "█" * round(BAR * abs(each.contribution / (by_size[0].contribution or 1)))
        words = f"{each.feature} {_text(each.value)}, typically {_text(each.typical)}"
        click.echo(f"{each.contribution:>+14.6g}  {bar:<{BAR}}  {words}")


def _show(title: str, values: Mapping[str, object]) -> None:
    if values:
        lines = (f"{_text(value):>14}  {name}" for name, value in values.items())
        click.echo("\n".join([title, *lines]))


def _text(value: object) -> str:
    return (
        "missing" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    )
