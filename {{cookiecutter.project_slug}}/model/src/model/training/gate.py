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
    found, constant = new.evaluation.metrics[METRIC], new.evaluation.baseline[METRIC]
    reasons = []
    if found > constant:
        reasons.append(f"its {METRIC} of {found:.4g} is worse than {constant:.4g} for a constant")
    comparable = current and (current.signature, current.data.synthetic) == (
        new.signature,
        new.data.synthetic,
    )
    if current and comparable and current.evaluation:
        before = current.evaluation.metrics[METRIC]
        if found > before:
            than = f"{before:.4g} of the current version {current.version}"
            reasons.append(f"its {METRIC} of {found:.4g} is worse than {than}")
    return reasons
