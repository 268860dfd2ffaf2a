"""Pipelines as people write them, each put into a stamped-out project and taken to a green check.

This leaves out what no pipeline can change: the suites that do not depend on the answers either,
and PostgreSQL, since the database sees numbers and names only; and, but for those that add a
package, the tests of the contract and of the service, which cannot import from `model` (`make lint`
holds that wall). They are trained, formatted, linted, typed, and run by all other tests of the
model and by the pair.
"""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from test_machinery import MACHINERY
from test_projects import KINDS, WITHOUT_ALIKE, write_history
from test_recipes import add, run, shorten_history

Stamp = Callable[..., Path]
pytestmark = pytest.mark.slow

SOURCE = '''"""What is trained."""

from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestRegressor,
    StackingRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC

from contract import FEATURES
{imports}

NUMBERS = [column.name for column in FEATURES if column.kind != "category"]
CATEGORIES = [column.name for column in FEATURES if column.kind == "category"]
SPLIT = "order"


{more}


def build_pipeline() -> Pipeline:
    """A pipeline, not yet fitted."""
    columns = ColumnTransformer(
        [("numbers", {numbers}, NUMBERS), ("categories", {categories}, {names})]
    )
    return Pipeline([{first} ("columns", columns), ("estimator", {estimator})])
'''
SCALED = "make_pipeline(SimpleImputer(), StandardScaler())"
ONE_HOT = 'OneHotEncoder(handle_unknown="ignore", sparse_output=False)'
ORDINAL = 'OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)'
LOGARITHMS = '''
def logarithms(rows: Any) -> Any:
    """The logarithm of each distance."""
    return rows.assign(distance=np.log1p(rows["distance"].clip(lower=0)))
'''


@dataclass(frozen=True)
class Case:
    """A pipeline and what becomes of it: the parts of `SOURCE`, as code.

    Attributes:
        reason: how the sentence begins that says why it is not compiled; None where it is.
        package: what has to be added to the model's dependencies.
    """

    estimator: str
    numbers: str = SCALED
    categories: str = ONE_HOT
    names: str = "CATEGORIES"
    first: str = ""
    more: str = ""
    imports: str = ""
    reason: str | None = None
    package: str | None = None


LIGHTGBM, XGBOOST = "lightgbm>=4.6", "xgboost-cpu>=3.1"
REGRESSION, BINARY, MULTI_CLASS = "default", "binary with missing values", "no history"
CASES: dict[str, dict[str, Case]] = {
    REGRESSION: {
        "a function": Case(
            "Ridge()",
            first='("logarithms", FunctionTransformer(logarithms)),',
            more=LOGARITHMS,
            reason="FunctionTransformer cannot be compiled",
        ),
        "ridge": Case("Ridge()"),
        "forest": Case(
            "RandomForestRegressor(n_estimators=50, n_jobs=-1, random_state=0)",
            numbers='"passthrough"',
        ),
        "texts": Case("Ridge()", categories="TfidfVectorizer()", names="CATEGORIES[0]"),
        "stacking": Case(
            'StackingRegressor([("ridge", Ridge()), ("forest",'
            " RandomForestRegressor(n_estimators=20, random_state=0))])"
        ),
        "xgboost": Case(
            "XGBRegressor(n_estimators=100)",
            numbers='"passthrough"',
            imports="from xgboost import XGBRegressor",
            package=XGBOOST,
        ),
    },
    BINARY: {
        "logistic": Case("LogisticRegression()"),
        "calibrated": Case("CalibratedClassifierCV(LinearSVC())"),
        "categorical features": Case(
            "HistGradientBoostingClassifier(categorical_features=[len(NUMBERS)], random_state=0)",
            numbers='"passthrough"',
            categories=ORDINAL,
            reason="HistGradientBoostingClassifier cannot be compiled with categorical_features",
        ),
        "kernels": Case(
            'CalibratedClassifierCV(SVC(kernel="rbf"), ensemble=False)',
        ),
        "lightgbm": Case(
            "LGBMClassifier(n_estimators=100, random_state=0, verbosity=-1)",
            numbers='"passthrough"',
            imports="from lightgbm import LGBMClassifier",
            package=LIGHTGBM,
        ),
    },
}
LIGHT = f"{WITHOUT_ALIKE} -k 'not postgresql'"


def parameters() -> list[object]:
    """All cases, those of one project on one worker, since they share it."""
    return [
        pytest.param(
            kind,
            name,
            id=name,
            marks=pytest.mark.xdist_group(f"pipelines {kind}"),
        )
        for kind, cases in CASES.items()
        for name in cases
    ]


Projects = Callable[[str], Path]


@pytest.fixture(scope="module")
def project_of(stamp: Stamp, tmp_path_factory: pytest.TempPathFactory) -> Projects:
    """The project of a kind, with few rows: set up when it is first asked for."""

    @cache
    def set_up(kind: str) -> Path:
        folder, answers = tmp_path_factory.mktemp("pipelines"), dict(KINDS[kind])
        if answers:
            answers["history"] = str(folder / "history.csv")
            write_history(Path(answers["history"]), answers)
        project = stamp(folder / "out", **answers)
        if not answers:
            shorten_history(project)
        run(project, "make setup")
        return project

    return set_up


def require(project: Path, *packages: str) -> None:
    """Add packages to what the model is trained with, as the project's README says."""
    declared = project / "model/pyproject.toml"
    missing = [each for each in packages if each not in declared.read_text("utf-8")]
    if missing:
        add(declared, "training = [", *(f'  "{each}",' for each in missing))
        run(project, "make lock setup")


@pytest.mark.parametrize(("kind", "name"), parameters())
def test_a_pipeline_passes_every_check(kind: str, name: str, project_of: Projects) -> None:
    project, case = project_of(kind), CASES[kind][name]
    parts = {field: getattr(case, field) for field in case.__dataclass_fields__}
    (project / "model/src/model/pipeline.py").write_text(SOURCE.format(**parts))
    if case.package:
        require(project, case.package)
    run(project, "make format")
    run(project, "make train", FORCE="1")  # it may be worse than the one before
    compiled = json.loads(run(project, "model/.venv/bin/model show --json"))["compiled"]
    if case.reason:
        assert compiled["reason"].startswith(case.reason), compiled
    else:
        assert compiled["reason"] is None, compiled
    if case.package:
        printed = run(project, "make check", PYTEST_ADDOPTS=LIGHT)
        assert len(re.findall(r"^\d+ passed", printed, re.M)) == 4
    else:
        run(project, "make lint")
        run(project, "cd model && .venv/bin/pytest", PYTEST_ADDOPTS=LIGHT)
        run(project, "make test-pair", PYTEST_ADDOPTS=LIGHT)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.xdist_group(f"pipelines {kind}"))
        for kind in (REGRESSION, BINARY, MULTI_CLASS)
    ],
)
def test_lightgbm_and_xgboost_are_compiled(kind: str, project_of: Projects) -> None:
    project = project_of(kind)
    require(project, LIGHTGBM, XGBOOST)
    suite = project / "model/tests/test_boosting.py"
    shutil.copy(MACHINERY / suite.name, suite)
    print(run(project, f"cd model && .venv/bin/pytest tests/{suite.name}"))
    suite.unlink()
