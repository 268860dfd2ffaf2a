"""The current version in C, compiled and run, predicts what scikit-learn does for every row."""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import pytest
from expressions import NotSupportedError, expressions_of
from generate import member, string

from contract import FEATURES, TARGET
from model.artifacts.opening import open_store
from model.artifacts.verification import check_whole
from model.columns import text_of
from model.settings import load_settings

DISH = Path(__file__).resolve().parent.parent
ROOT = DISH.parent.parent
BUILD = DISH / "build"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", f"-I{BUILD}"]
SANITIZED = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
CORTEX_M4 = ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-Os"]
BARE = ["--specs=rdimon.specs", "-T", DISH / "tests/cortex_m4.ld", DISH / "tests/cortex_m4.c"]
SEMIHOSTED = ["-semihosting-config", "enable=on,target=native"]
QEMU = ["qemu-system-arm", "-M", "mps2-an386", "-nographic", *SEMIHOSTED, "-kernel"]
FLOAT32 = "-DPREDICT_FLOAT32"

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Those of the compile gate: the history, both sides of every split, missing, never seen."""
    file = tmp_path_factory.mktemp("parity") / "rows.jsonl"
    subprocess.run([ROOT / "model/.venv/bin/model", "parity", file], cwd=ROOT, check=True)
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


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


class Rows:
    """The rows as the program of `rows.c` takes them."""

    def __init__(self, rows: list[Any], results: int) -> None:
        self.results = results
        self.texts: dict[str, int] = {}
        for row in rows:
            for each in row["features"].values():
                if isinstance(each, str):
                    self.texts.setdefault(each, len(self.texts) + 1)
        self.cells = np.array([[self._cell(it) for it in row["features"].values()] for row in rows])
        columns = [each.kind == "category" for each in FEATURES]
        self.cells[:, columns] = np.nan_to_num(self.cells[:, columns])

    def _cell(self, value: Any) -> float:
        if isinstance(value, str):
            return self.texts[value]
        return np.nan if value is None else float(value)

    def header(self) -> str:
        """How cells become features, and results cells."""
        fill = "".join(
            f" features->{member(each.name)} = "
            + (f"texts[(int)cells[{n}]];" if each.kind == "category" else f"cells[{n}];")
            for n, each in enumerate(FEATURES)
        )
        run = "results[0] = predict(features);"
        if self.results > 1:
            run = (
                f"predict_number found[{self.results - 1}]; results[0] = predict(features, found);"
                f" for (int i = 1; i < {self.results}; i++) results[i] = found[i - 1];"
            )
        texts = ", ".join(["0", *map(string, self.texts)])
        return (
            '#include "predict.h"\n'
            f"enum {{ COLUMNS = {len(FEATURES)}, RESULTS = {self.results} }};\n"
            f"const char *const texts[] = {{{texts}}};\n"
            f"static void fill(predict_features *features, const double *cells) {{{fill}}}\n"
            f"static void run(const predict_features *features, double *results) {{{run}}}\n"
        )


def predicted(folder: Path, rows: Rows, compiler: list[Any], run: list[str]) -> tuple[Array, int]:
    """The results [rows, results] of a program, and the most bytes of stack of a prediction."""
    (folder / "rows.h").write_text(rows.header())
    rows.cells.tofile(folder / "rows.bin")
    sources = [DISH / "tests/rows.c", BUILD / "predict.c"]
    command = [*compiler, *STRICT, f"-I{folder}", *sources, "-lm", "-o", folder / "program"]
    subprocess.run(command, check=True)
    done = subprocess.run(
        [*run, folder / "program"], cwd=folder, check=True, capture_output=True, text=True
    )
    version, stack = done.stdout.split()
    assert version == open_store(settings()).current()
    return np.fromfile(folder / "results.bin").reshape(-1, rows.results), int(stack)


@cache
def settings() -> Any:
    os.chdir(ROOT)
    return load_settings()


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
    results, _ = predicted(tmp_path, Rows(rows, expected.shape[1]), [compiler, *SANITIZED], [])
    check(results, expected, 0.0 if is_exact() else 1e-9)


def test_a_cortex_m4_predicts_the_same(rows: list[Any], expected: Array, tmp_path: Path) -> None:
    needed("arm-none-eabi-gcc", "qemu-system-arm")
    as_rows = Rows(rows, expected.shape[1])
    results, stack = predicted(tmp_path, as_rows, [*CORTEX_M4, *BARE], QEMU)
    check(results, expected, 0.0 if is_exact() else 1e-9)
    print(f"stack: {stack} bytes")
    assert 0 < stack <= int(os.environ["STACK"])


def test_it_fits_into_a_cortex_m4(tmp_path: Path) -> None:
    needed("arm-none-eabi-gcc")
    code = tmp_path / "predict.o"
    subprocess.run([*CORTEX_M4, *STRICT, "-c", BUILD / "predict.c", "-o", code], check=True)
    sizes = subprocess.check_output(["arm-none-eabi-size", code], text=True).splitlines()[1]
    text, data, bss = map(int, sizes.split()[:3])
    print(f"flash: {text + data} bytes; RAM: {data + bss} bytes")
    assert text + data <= int(os.environ["FLASH"])
    assert data + bss == 0


if not any(each.kind == "datetime" for each in FEATURES):

    def test_float32_takes_the_same_way_through_trees(
        rows: list[Any], expected: Array, tmp_path: Path
    ) -> None:
        single = Rows(rows, expected.shape[1])
        single.cells = single.cells.astype(np.float32).astype(float)
        double, _ = predicted(tmp_path, single, ["gcc", "-O2"], [])
        results, _ = predicted(tmp_path, single, ["gcc", "-O2", FLOAT32], [])
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
