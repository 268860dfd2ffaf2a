"""`make score`: the ML Test Score of this project, from what is on record and has not expired.

Each of the 28 tests counts if all of its evidence holds; the score is that of the weakest section.
Source: E. Breck et al., "The ML Test Score: A Rubric for ML Production Readiness and Technical Debt
Reduction", IEEE Big Data 2017.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill

from records import NotYet, Records

ROOT = Path(__file__).resolve().parent.parent
FRESH_DAYS = 90
"""How old a version may be that is not stale."""
FEW = 30
"""Fewer known outcomes than this tell nothing."""

Proof = Callable[[Records], str]
"""Gives the evidence in words, or raises NotYet."""


def tests(*names: str) -> Proof:
    """These have passed: files of tests, or some of them by name."""
    return lambda records: records.passed(*names)


def _useful(records: Records) -> str:
    importance = records.judged["importance"]
    useless = [name for name, gain in importance.items() if gain["low"] <= 0]
    if useless or not importance:
        raise NotYet(f"{', '.join(useless) or 'no feature'} is not shown to help: leave it out")
    least = min(importance, key=lambda name: importance[name]["mean"])
    return f"without any of {len(importance)} features the error grows, least without {least}"


def _cheap(records: Records) -> str:
    spent = records.evidence["latency_ms"]["new"]
    return f"with all features one request takes {spent:.3g} ms, and the gate limits that"


def _checked_in(records: Records) -> str:
    code = records.current["code"]
    if not code or code["dirty"]:
        raise NotYet("the current version was not trained from a commit: commit, then `make train`")
    return f"version {records.current['version']} was trained from commit {code['commit'][:12]}"


def _moves_together(records: Records) -> str:
    aging = {each["version"]: each for each in records.aging}
    for entry in reversed(records.versions["log"]):
        found = (entry["evidence"] or {}).values()
        expected = [it["difference"] for it in found if isinstance(it, dict) and "difference" in it]
        new = aging.get(entry["to"], {"rows": 0, "beside": {}})
        old = new["beside"].get(entry["from"])
        if expected and old is not None and new["rows"] >= FEW:
            if (expected[0]["mean"] < 0) != (new["error"] < old):
                raise NotYet(f"{entry['to']} was judged better than {entry['from']}, and is not")
            words = "errs by {:.4g} online, and {} by {:.4g}: as the gate had found before"
            return f"{entry['to']} {words.format(new['error'], entry['from'], old)}"
    raise NotYet(f"it takes a promotion over another version, then {FEW} outcomes, `make report`")


def _tuned(records: Records) -> str:
    candidates = records.judged["candidates"]
    if len(candidates) < 2:
        raise NotYet("pipeline.py has no other candidates to choose from")
    return f"the best of {len(candidates)} candidates by cross-validation"


def _staleness(records: Records) -> str:
    aging = [each for each in records.aging if each["rows"] >= FEW]
    if len(aging) < 2:
        raise NotYet(f"it takes two versions and {FEW} outcomes that neither has learnt from")
    oldest, newest = aging[0], aging[-1]
    words = "on the rows after its training {version} errs by {error:.4g} ({low:.4g} to {high:.4g})"
    return f"{words.format(**oldest)}; {words.format(**newest)}"


def _no_simpler(records: Records) -> str:
    linear = records.judged["linear"]
    if linear and linear["gain"]:
        if linear["gain"]["high"] < 0:
            raise NotYet("a linear model is better: take that")
        return f"a linear model's loss is {linear['gain']['mean']:.4g} larger"
    return "it is linear itself, or no linear model can be fitted"


def _sliced(records: Records) -> str:
    slices = records.judged["slices"]
    if not slices:
        raise NotYet("no feature is a category, or true or false")
    return f"judged on each of {len(slices)} slices, which the gate compares with those before"


def _fair(records: Records) -> str:
    slices = records.report["slices"]
    if not slices:
        raise NotYet(f"no slice has {FEW} outcomes yet: record them, then `make report`")
    if worse := [name for name, verdict in slices.items() if verdict in ("look", "act")]:
        raise NotYet(f"the product errs more than at training where {', '.join(worse)}")
    return f"in none of {len(slices)} slices the product errs more than at training"


def _gated(records: Records) -> str:
    if records.evidence["objections"]:
        raise NotYet("the gate objected")
    judged = records.judged
    name, own = next(iter(judged["metrics"].items()))
    constant = judged["baseline"][name]
    return f"no objection of the gate: {name} {own:.4g}, and {constant:.4g} of a constant"


def _tried_out(records: Records) -> str:
    memory = records.evidence["memory_mb"]["new"]
    return f"it answered in a server of its own, of {memory:.0f} MB, before it was current"


def _compared(records: Records) -> str:
    drifts = records.report["drifts"]
    if not drifts or sum(records.report["served"].values()) < FEW:
        raise NotYet(f"it takes {FEW} predictions of the last week, then `make report`")
    drifted = ", ".join(name for name, is_so in drifts.items() if is_so) or "none"
    return f"of {len(drifts)} features these differ from training: {drifted}"


def _same_features(records: Records) -> str:
    data = records.current["data"]
    if not any("product" in each["source"] for each in (data, *data.get("parts", []))):
        raise NotYet("nothing was learnt from the product yet: `make retrain`")
    if skew := records.evidence.get("skew"):
        raise NotYet(f"served otherwise than derived: {', '.join(skew)}")
    return "in all rows of the product the features are derived as they were served"


def _fresh(records: Records) -> str:
    age = (records.now - datetime.fromisoformat(records.current["created_at"])).days
    if age > FRESH_DAYS:
        raise NotYet(f"the current version is {age} days old: `make retrain`")
    return f"the current version is {age} days old, of at most {FRESH_DAYS}"


def _as_quick(records: Records) -> str:
    before, p95 = records.evidence["latency_ms"]["current"], records.report["p95_ms"]
    if before is None or p95 is None:
        raise NotYet("it takes a promotion over another version and predictions, `make report`")
    if p95 > records.report["deadline_ms"]:
        raise NotYet(f"95 % of the predictions take up to {p95:.3g} ms, more than allowed")
    now = records.evidence["latency_ms"]["new"]
    return f"{now:.3g} ms after {before:.3g} ms of the version before; p95 {p95:.3g} ms"


def _as_good(records: Records) -> str:
    errors, worse = records.report["errors"], records.report["worse"]
    if not errors or records.report["known"] < FEW:
        raise NotYet(f"it takes {FEW} outcomes of a week, then `make report`")
    if worse != "ok":
        raise NotYet(f"the error is {errors['mean']:.4g}, after {errors['training']:.4g}")
    return f"the error is {errors['mean']:.4g}, and was {errors['training']:.4g} at training"


CONTRACT, MODEL, SERVICE = "contract/tests/test_", "model/tests/test_", "service/tests/test_"
PAIR = "tests/test_"
RUBRIC: dict[str, dict[str, list[Proof]]] = {
    "Data": {
        "what features look like is in a schema": [
            tests(f"{CONTRACT}features.py", f"{MODEL}history.py", f"{SERVICE}bad_input.py")
        ],
        "every feature earns its place": [_useful],
        "no feature costs more than it gives": [_cheap],
        "features obey policy": [tests(f"{PAIR}walls.py")],
        "privacy along the whole pipeline": [
            tests(
                f"{PAIR}privacy.py",
                f"{MODEL}training.py::test_a_version_keeps_no_row_of_its_history",
            )
        ],
        "a new feature is quickly in production": [tests(f"{PAIR}new_feature.py")],
        "all code that makes features is tested": [
            tests(f"{CONTRACT}features.py", f"{MODEL}history.py")
        ],
    },
    "Model": {
        "its specification is reviewed and checked in": [_checked_in],
        "offline metrics move with what happens online": [_moves_together],
        "hyperparameters are tuned": [_tuned],
        "what staleness costs is known": [_staleness],
        "a simpler model is no better": [_no_simpler],
        "it is good on every important slice": [_sliced],
        "it is fair to those it is about": [_fair],
    },
    "Infrastructure": {
        "training is reproducible": [
            tests(f"{MODEL}training.py::test_the_same_history_makes_the_same_version")
        ],
        "the specification has unit tests": [tests(f"{MODEL}pipeline.py")],
        "the whole pipeline has an integration test": [tests(f"{PAIR}learning.py")],
        "quality is validated before it serves": [_gated],
        "one example can be followed step by step": [
            tests(f"{MODEL}explaining.py", f"{SERVICE}ops.py")
        ],
        "a canary goes first": [_tried_out, tests(f"{SERVICE}canary.py", f"{SERVICE}shadow.py")],
        "it can be rolled back": [
            tests(f"{MODEL}versions.py::test_a_better_version_is_promoted_and_rolled_back")
        ],
    },
    "Monitoring": {
        "changed dependencies notify": [
            tests(
                f"{CONTRACT}golden.py",
                f"{PAIR}check.py::test_the_model_was_made_for_another_contract",
            )
        ],
        "data are as expected in training and serving": [_compared, tests(f"{SERVICE}drift.py")],
        "training and serving compute the same features": [_same_features],
        "the model is not too stale": [_fresh],
        "it is numerically stable": [
            tests(
                f"{MODEL}api.py::test_a_prediction_that_is_not_finite_is_an_internal_error_that_is_logged",
                f"{SERVICE}predictors.py::test_an_invalid_output",
            )
        ],
        "speed and memory have not got worse": [_as_quick],
        "predictions have not got worse": [_as_good],
    },
}


def main() -> None:
    """Print each test with its evidence, or how to come by it, and the score."""
    os.chdir(ROOT)
    records = Records(Path("var"), datetime.now(UTC))
    scores = {}
    for section, claims in RUBRIC.items():
        found = {claim: evidence(proofs, records) for claim, proofs in claims.items()}
        scores[section] = sum(holds for holds, _ in found.values())
        print(f"\n{section}: {scores[section]} of {len(claims)}\n")
        for claim, (holds, words) in found.items():
            print(f"  {'yes' if holds else 'not yet':7}  {claim}")
            print(fill(words, 110, initial_indent=11 * " ", subsequent_indent=11 * " "))
    least = min(scores, key=lambda section: scores[section])
    total = sum(scores.values())
    print(f"\nML Test Score: {scores[least]}, that of {least}; {total} of 28 tests have evidence")


def evidence(proofs: list[Proof], records: Records) -> tuple[bool, str]:
    """Whether all of it holds, in words."""
    try:
        return True, "; ".join(proof(records) for proof in proofs)
    except NotYet as error:
        return False, str(error)


if __name__ == "__main__":
    main()
