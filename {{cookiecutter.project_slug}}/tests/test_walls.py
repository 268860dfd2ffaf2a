"""The walls between the units are real: whoever climbs over one is caught."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter the way `make lint` does, on the units in this folder."""
    path = os.pathsep.join(str(folder / unit / "src") for unit in ("contract", "service", "model"))
    return subprocess.run(
        [ROOT / ".venv/bin/lint-imports", "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def copy(folder: Path) -> Path:
    """The sources, to plant something in."""
    for unit in ("contract", "service", "model"):
        shutil.copytree(ROOT / unit / "src", folder / unit / "src")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_walls_stand(tmp_path: Path) -> None:
    done = lint_imports(copy(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


PLANTED = {
    "the service and the model share the contract and nothing else": [
        ("service.errors", "model.engines.loading"),
        ("model.serving.app", "service.settings"),
    ],
    "the contract knows neither side": [
        ("contract.types", "service.settings"),
        ("contract.types", "model.settings"),
    ],
    "the contract depends on pydantic alone": [
        ("contract.types", "flask"),
        ("contract.types", "numpy"),
    ],
    "the service does no machine learning": [
        ("service.errors", "sklearn"),
        ("service.features", "pandas"),
        ("service.app", "joblib"),
    ],
    "the model has no database": [
        ("model.training.history", "sqlalchemy"),
        ("model.serving.app", "flask"),
    ],
    "the model has layers": [
        ("model.errors", "model.settings"),
        ("model.settings", "model.logs"),
        ("model.logs", "model.columns"),
        ("model.columns", "model.tables.cells"),
        ("model.tables.reading", "model.artifacts.store"),
        ("model.columns", "model.pipeline"),
        ("model.artifacts.store", "model.engines.loading"),
        ("model.engines.loading", "model.compiling.parity"),
        ("model.compiling.parity", "model.training.trainer"),
        ("model.training.trainer", "model.cli"),
        ("model.bulk.job", "model.serving.app"),
        ("model.serving.app", "model.training.trainer"),
    ],
    "serving reaches no training code": [
        ("model.serving.app", "model.pipeline"),
        ("model.serving.app", "pyarrow"),
        ("model.engines.loading", "model.pipeline"),
        ("model.engines.onnx", "onnx"),
        ("model.engines.sklearn", "model.tables.reading"),
        ("model.artifacts.store", "model.pipeline"),
    ],
    "no module imports itself by way of another": [
        ("contract.errors", "contract.tensors"),
        ("service.settings", "service.app"),
        ("model.artifacts.manifest", "model.artifacts.store"),
    ],
}
"""By wall, the imports that it forbids: the module that is to have one, and what it imports."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says once all of them are planted, and a module in no layer."""
    folder = copy(tmp_path_factory.mktemp("planted"))
    for module, imported in (pair for pairs in PLANTED.values() for pair in pairs):
        path = folder / module.partition(".")[0] / "src" / f"{module.replace('.', '/')}.py"
        path.write_text(f"{path.read_text('utf-8')}\nimport {imported}\n", "utf-8")
    (folder / "model/src/model/elsewhere.py").touch()
    done = lint_imports(folder)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def section(report: str, wall: str) -> str:
    """What the report says of one wall that is broken."""
    _, _, rest = report.partition(f"\n{wall}\n{'-' * len(wall)}\n")
    return re.split(r"\n\S.*\n-{8,}\n", rest)[0]


@pytest.mark.parametrize(
    ("wall", "module", "imported"),
    [(wall, *pair) for wall, pairs in PLANTED.items() for pair in pairs],
)
def test_a_forbidden_import_is_found(wall: str, module: str, imported: str, report: str) -> None:
    if "by way of another" in wall:  # which names both relative to the package that they are in
        package, _, module = module.rpartition(".")
        assert f"No cycles are allowed in {package}." in section(report, wall)
        imported = imported.removeprefix(package)
        edges = [f"- .{module} -> {imported} (", f"- {imported} -> .{module} ("]
    else:
        edges = [f"{module} -> {imported} (l."]
    assert any(edge in section(report, wall) for edge in edges), report


def test_a_module_in_no_layer_is_found(report: str) -> None:
    assert "- model.elsewhere\n" in section(report, "the model has layers")


@pytest.mark.parametrize(
    ("unit", "absent"),
    [
        ("service", ["sklearn", "numpy", "pandas", "joblib", "scipy"]),
        ("model", ["sqlalchemy", "flask", "alembic", "psycopg"]),
        ("contract", ["flask", "sqlalchemy", "sklearn", "numpy"]),
    ],
)
def test_what_a_unit_must_not_use_is_not_even_installed(unit: str, absent: list[str]) -> None:
    (packages,) = (ROOT / unit / ".venv/lib").glob("python3.*/site-packages")
    assert (packages / "pydantic").is_dir()
    assert not [name for name in absent if (packages / name).exists()]


def test_what_stands_on_both_sides_of_the_wall_is_the_same() -> None:
    sides = (ROOT / "service/src/service", ROOT / "model/src/model/serving")
    one, other = ((side / "processes.py").read_text("utf-8") for side in sides)
    assert one == other
