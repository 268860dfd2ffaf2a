"""The current version in C as programs that predict the rows of the compile gate."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from generate import member, string

from contract import FEATURES
from model.artifacts.opening import open_store
from model.settings import load_settings

DISH = Path(__file__).resolve().parent.parent
ROOT = DISH.parent.parent
BUILD = DISH / "build"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", f"-I{BUILD}"]
CORTEX_M4 = ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-Os"]
BARE = ["--specs=rdimon.specs", "-T", DISH / "tests/cortex_m4.ld", DISH / "tests/cortex_m4.c"]
SEMIHOSTED = ["-semihosting-config", "enable=on,target=native"]
QEMU = ["qemu-system-arm", "-M", "mps2-an386", "-nographic", *SEMIHOSTED, "-kernel"]

Array = np.ndarray[Any, Any]


@cache
def settings() -> Any:
    os.chdir(ROOT)
    return load_settings()


def parity_rows(folder: Path) -> list[Any]:
    """The history, both sides of every split, missing values, texts never seen."""
    file = folder / "rows.jsonl"
    subprocess.run([ROOT / "model/.venv/bin/model", "parity", file], cwd=ROOT, check=True)
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


class Rows:
    """The rows as the programs take them, which write so many `results` for each."""

    def __init__(self, rows: list[Any]) -> None:
        self.results = 1 + len(rows[0]["expected"].get("probabilities", ()))
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


def compile_program(folder: Path, rows: Rows, compiler: list[Any], source: str = "rows.c") -> None:
    """Compile one of the programs, which reads the rows from the folder that it is in."""
    (folder / "rows.h").write_text(rows.header())
    rows.cells.tofile(folder / "rows.bin")
    sources = [DISH / "tests" / source, BUILD / "predict.c"]
    command = [*compiler, *STRICT, f"-I{folder}", *sources, "-lm", "-o", folder / "program"]
    subprocess.run(command, check=True)


def run_program(folder: Path, *emulator: str) -> list[str]:
    """The words that it prints."""
    command = [*emulator, str(folder / "program")]
    printed: str = subprocess.check_output(command, cwd=folder, text=True)
    return printed.split()


def predicted(folder: Path, rows: Rows, compiler: list[Any], *emulator: str) -> tuple[Array, int]:
    """The results [rows, results] of `rows.c`, and the most bytes of stack of a prediction."""
    compile_program(folder, rows, compiler)
    version, stack = run_program(folder, *emulator)
    assert version == open_store(settings()).current()
    return np.fromfile(folder / "results.bin").reshape(-1, rows.results), int(stack)


def bytes_on_cortex_m4(folder: Path) -> tuple[int, int]:
    """Of flash and of RAM."""
    code = folder / "predict.o"
    subprocess.run([*CORTEX_M4, *STRICT, "-c", BUILD / "predict.c", "-o", code], check=True)
    sizes = subprocess.check_output(["arm-none-eabi-size", code], text=True).splitlines()[1]
    text, data, bss = map(int, sizes.split()[:3])
    return text + data, data + bss
