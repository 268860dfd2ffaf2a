"""Whether a version may become the current one: every reason against it, and what was found.

Its limits are in `model.limits`.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from model import limits
from model.artifacts.log import current_of
from model.artifacts.manifest import METRIC, MODEL_FILE, ONNX_FILE, Manifest
from model.artifacts.store import NoVersionError, Store
from model.artifacts.verification import VerifiedArtifact, check_whole, verify
from model.columns import text_of, to_arrays
from model.compiling.parity import Mismatch, prove
from model.engines.loading import Model, engine_type
from model.engines.sklearn import SklearnEngine
from model.errors import ModelError, explained
from model.settings import Settings
from model.training.evaluation import slices_of
from model.training.history import History
from model.training.intervals import difference
from model.training.losses import Losses, errors_of, predictions_of, unseen_losses
from model.training.outliers import reject_outliers
from model.training.trial import try_out

PROVEN_ROWS = 2_000
"""The latest rows, on which a compiled version is compared with its reference once more."""


class Judgement:
    """What speaks against a version, and the evidence.

    Attributes:
        objections: the reasons against it; with none it may become the current one.
        evidence: by what it was judged, for the log.
    """

    def __init__(self) -> None:
        self.objections: list[str] = []
        self.evidence: dict[str, Any] = {"objections": self.objections}


def judge_version(store: Store, version: str, history: History, settings: Settings) -> Judgement:
    """The judgement on a version that is to be the next one after that which is current now.

    Args:
        store: of both.
        version: which.
        history: the latest labelled rows, on those of which that neither has seen they compete.
        settings: the keys to verify with.
    """
    keys, found = settings.model_verify_keys, Judgement()
    if history.skew:
        found.evidence["skew"] = dict(history.skew)
    history = reject_outliers(history)[0]
    try:
        artifact = verify(store.folder(version), keys)
    except ModelError as error:
        found.objections.append(str(error))
        return found
    current = _current_in(store, version, keys, found.evidence)
    for check in (
        _prove(artifact, history, settings),
        _simpler(artifact.manifest),
        _current(artifact, current, history, found.evidence),
        _serve(artifact, current, settings, found.evidence),
    ):
        try:
            found.objections.extend(check)
        except ModelError as error:
            found.objections.append(str(error))
    try:
        _replay(artifact, history, found.evidence)
    except ModelError as error:
        found.objections.append(str(error))
    return found


def _current_in(
    store: Store, version: str, keys: Sequence[Path], evidence: Any
) -> VerifiedArtifact | None:
    """The current version, if it is another one and could be served.

    Raises:
        ModelError: the store cannot be read.
    """
    name = current_of(store.history())
    if name in (None, version):
        return None
    try:
        folder = store.folder(name)
    except NoVersionError as error:
        evidence["current"] = str(error)
        return None
    try:
        current = check_whole(folder, keys)
        Model.of(current)
    except ModelError as error:  # which is no reason to keep it
        evidence["current"] = str(error)
        return None
    return current


def _prove(artifact: VerifiedArtifact, history: History, settings: Settings) -> Iterator[str]:
    """A compiled version has to predict as its reference does."""
    if ONNX_FILE not in artifact.manifest.files:
        return
    rows = history.latest(PROVEN_ROWS)
    pickled = check_whole(artifact.path, settings.model_verify_keys, MODEL_FILE)
    try:
        with explained("it cannot be proven", kinds=(Exception,)):
            compiled = engine_type(artifact.manifest).load(artifact)
            reference = SklearnEngine.load(pickled)
            prove(reference, compiled, artifact.content, to_arrays(rows.columns))
    except Mismatch as error:
        yield f"it is not proven: {error}"


def _simpler(new: Manifest) -> Iterator[str]:
    """It has to be better than the best constant, and than a linear model."""
    if new.evaluation is None:
        yield "it could not be judged, since the past rows hold one class only"
        return
    own, baseline = new.evaluation.metrics[METRIC], new.evaluation.baseline[METRIC]
    if not own <= (1 - limits.BASELINE) * baseline:
        yield f"its {METRIC} of {own:.6g} is not better than {baseline:.6g} of a constant"
    linear = new.evaluation.linear
    if linear and linear.gain:
        bar = linear.metrics[METRIC]
        if linear.gain.high < limits.LINEAR * bar:
            yield f"its {METRIC} of {own:.6g} is not better than {bar:.6g} of a linear model"


def _current(
    new: VerifiedArtifact, current: VerifiedArtifact | None, history: History, evidence: Any
) -> Iterator[str]:
    """It has to be better than the current version on the rows that neither has seen."""
    if current is None:
        return
    if current.manifest.data.synthetic != new.manifest.data.synthetic:
        if new.manifest.data.synthetic:
            yield "it has learnt from made-up rows, and the current version from real ones"
        return
    whose = f"the current version {current.manifest.version}"
    ours = unseen_losses(new, history)
    try:
        theirs = unseen_losses(current, history)
    except ModelError as error:  # which is no reason to keep it
        evidence["current"] = str(error)
        return
    rows = np.flatnonzero(np.isfinite(ours + theirs))
    ours, theirs = ours[rows], theirs[rows]
    evidence["rows"] = len(rows)
    if found := difference(ours, theirs):
        means = {"new": float(ours.mean()), "current": float(theirs.mean())}
        evidence[METRIC] = {**means, "difference": found.model_dump()}
    same = new.manifest.signature == current.manifest.signature
    margin = limits.CURRENT if same else limits.CONTRACT
    yield from quality(ours, theirs, history.part(rows), whose, margin)


def quality(
    ours: Losses, theirs: Losses, rows: History, whose: str, margin: float
) -> Iterator[str]:
    """The objections to a version by its losses, and those of another one, on the same rows."""
    found = difference(ours, theirs)
    if found is None:
        yield f"{whose} has seen all rows: there are no later ones to compare them on"
        return
    if found.high > margin * float(theirs.mean()):
        words = f"by {-found.mean:.3g}, between {-found.high:.3g} and {-found.low:.3g}"
        yield f"it is not shown to be better than {whose} on {len(rows)} later rows: {words}"
    yield from _slices(rows, ours, theirs)


def _slices(rows: History, ours: Losses, theirs: Losses) -> Iterator[str]:
    """Nowhere may it be much worse than the current version."""
    slices = [each for each in slices_of(rows) if len(each[2]) >= limits.SLICE_ROWS]
    for name, value, chosen in slices:
        level = 1 - 0.05 / len(slices)  # of all of them together 0.95
        found = difference(ours[chosen], theirs[chosen], level=level)
        bar = float(theirs[chosen].mean())
        if found and found.low > limits.SLICE * bar:
            where = f"{name} is {text_of(value) or 'missing'}, {len(chosen)} rows"
            fault = f"{METRIC} {bar + found.mean:.6g} after {bar:.6g}"
            yield f"it is worse where {where}: {fault}"


def _serve(
    new: VerifiedArtifact, current: VerifiedArtifact | None, settings: Settings, evidence: Any
) -> Iterator[str]:
    """In a real server it has to answer its self-test, quickly, in little memory."""
    folders = [new.path]
    if current:
        with suppress(ModelError):  # of what this release cannot serve, such as another contract
            folders.append(verify(current.path, settings.model_verify_keys).path)
    trials = try_out(folders, settings)
    for name, ratio, free, unit in (
        ("latency_ms", limits.LATENCY, limits.LATENCY_MS, "ms a request"),
        ("memory_mb", limits.MEMORY, limits.MEMORY_MB, "MB of memory"),
    ):
        own, *others = (getattr(each, name) for each in trials)
        evidence[name] = {"new": own, "current": others[0] if others else None}
        if others and own > max(ratio * others[0], others[0] + free):
            yield f"it takes {own:.3g} {unit}, and the current version {others[0]:.3g}"


def _replay(artifact: VerifiedArtifact, history: History, evidence: Any) -> None:
    """Note how far it is from what was served for the same rows, which is no objection."""
    rows = [row for row, value in enumerate(history.served) if value is not None]
    if not rows:
        return
    part = history.part(np.array(rows))
    new = predictions_of(artifact, part).values
    change = errors_of(new, part.served)
    words = "mean change" if new.dtype.kind == "f" else "share changed"
    evidence["replayed"] = {"rows": len(rows), words: change.mean(), "largest": change.max()}
