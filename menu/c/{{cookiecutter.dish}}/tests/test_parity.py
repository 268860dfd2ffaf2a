"""The current version in C, compiled and run, predicts what scikit-learn does for every row."""

import os
import shutil
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import pytest
from expressions import NotSupportedError, expressions_of
from programs import (
    BARE,
    CORTEX_M4,
    QEMU,
    Array,
    Rows,
    bytes_on_cortex_m4,
    parity_rows,
    predicted,
    settings,
)

from contract import FEATURES, TARGET
from model.artifacts.opening import open_store
from model.artifacts.verification import check_whole
from model.columns import text_of

SANITIZED = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
FLOAT32 = "-DPREDICT_FLOAT32"


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return parity_rows(tmp_path_factory.mktemp("parity"))


@pytest.fixture(scope="session")
def expected(rows: list[Any]) -> Array:
    """What scikit-learn predicts: a number, or the number of the class and the probabilities."""
    results = []
    for each in (row["expected"] for row in rows):
        found = [each[TARGET.name]]
        if probabilities := each.get("probabilities"):
            found = [[*probabilities].index(text_of(found[0])), *probabilities.values()]
        results.append(found)
    return np.array(results, dtype=float)


def needed(*programs: str) -> None:
    """Without these programs there is no such test, which is a failure where CI is set."""
    missing = [each for each in programs if not shutil.which(each)]
    if missing:
        assert not os.environ.get("CI"), f"not installed: {missing}"
        pytest.skip(f"not installed: {', '.join(missing)} (README.md has the packages)")


def check(results: Array, expected: Array, tolerance: float) -> None:
    """The same class, and numbers that are no further off than this, relative to them."""
    assert results.shape == expected.shape
    if expected.shape[1] > 1:
        assert (results[:, 0] == expected[:, 0]).all()
    floor = 1e-7 * np.abs(expected).max()
    error = np.abs(results - expected) / np.maximum(np.abs(expected), floor)
    print(
        f"{(results == expected).all(axis=1).mean():.2%} of rows bit-equal, {error.max():.2g} off"
    )
    assert error.max() <= tolerance


def is_exact() -> bool:
    """Whether the order of all additions is known: trees whose leaves are added as they stand."""
    store = open_store(settings())
    artifact = check_whole(store.folder(), settings().model_verify_keys, "model.joblib")
    estimator = joblib.load(artifact.path / "model.joblib")[-1]
    boosting = type(estimator).__name__ == "HistGradientBoostingRegressor"
    return boosting and estimator.loss == "squared_error"


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_every_row_is_predicted_as_by_scikit_learn(
    compiler: str, rows: list[Any], expected: Array, tmp_path: Path
) -> None:
    needed(compiler)
    results, _ = predicted(tmp_path, Rows(rows), [compiler, *SANITIZED])
    check(results, expected, 0.0 if is_exact() else 1e-9)


def test_a_cortex_m4_predicts_the_same(rows: list[Any], expected: Array, tmp_path: Path) -> None:
    needed("arm-none-eabi-gcc", "qemu-system-arm")
    results, stack = predicted(tmp_path, Rows(rows), [*CORTEX_M4, *BARE], *QEMU)
    check(results, expected, 0.0 if is_exact() else 1e-9)
    print(f"stack: {stack} bytes")
    assert 0 < stack <= int(os.environ["STACK"])


def test_it_fits_into_a_cortex_m4(tmp_path: Path) -> None:
    needed("arm-none-eabi-gcc")
    flash, ram = bytes_on_cortex_m4(tmp_path)
    print(f"flash: {flash} bytes; RAM: {ram} bytes")
    assert flash <= int(os.environ["FLASH"])
    assert ram == 0


if not any(each.kind == "datetime" for each in FEATURES):

    def test_float32_takes_the_same_way_through_trees(
        rows: list[Any], expected: Array, tmp_path: Path
    ) -> None:
        single = Rows(rows)
        single.cells = single.cells.astype(np.float32).astype(float)
        double, _ = predicted(tmp_path, single, ["gcc", "-O2"])
        results, _ = predicted(tmp_path, single, ["gcc", "-O2", FLOAT32])
        error = np.abs(results - double).max(axis=1) / np.abs(double).max()
        print(f"float32 is at most {error.max():.2g} off")
        off = np.abs(results - expected).max(axis=1) / np.abs(expected).max() > 1e-5
        print(f"{off.mean():.2%} of all rows lie so close to a split that float32 flips it")
        assert error.max() <= 1e-5


def test_an_operator_that_c_lacks_is_named() -> None:
    node = onnx.helper.make_node("Tan", ["x"], ["y"])
    x, y = (
        onnx.helper.make_tensor_value_info(it, onnx.TensorProto.DOUBLE, [None, 1]) for it in "xy"
    )
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "tan", [x], [y]))
    with pytest.raises(NotSupportedError, match="operator Tan is not supported"):
        expressions_of(model.SerializeToString())
