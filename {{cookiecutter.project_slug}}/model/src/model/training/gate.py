"""Whether a new version may become current by itself."""

from model.artifacts.manifest import METRIC, Manifest


def objections(new: Manifest, current: Manifest | None) -> list[str]:
    """What speaks against a new version; nothing, if it may become current.

    It must not be worse than its own baseline, nor than the current version was by its own
    judgement, if that was made for the same contract. Versions of synthetic rows and of real ones
    are not compared.
    """
    if new.evaluation is None:
        return ["it could not be judged, since the past rows hold one class only"]
    bars = {"a constant": new.evaluation.baseline[METRIC]}
    if (
        current
        and current.evaluation
        and current.signature == new.signature
        and current.data.synthetic == new.data.synthetic
    ):
        bars[f"the current version {current.version}"] = current.evaluation.metrics[METRIC]
    found = new.evaluation.metrics[METRIC]
    return [
        f"its {METRIC} of {found:.6g} is worse than {bar:.6g} of {whose}"
        for whose, bar in bars.items()
        if not found <= bar
    ]
