"""The walls between the units are real: whoever climbs over one is caught."""

import os
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


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The sources, to plant something in."""
    for unit in ("contract", "service", "model"):
        shutil.copytree(ROOT / unit / "src", tmp_path / unit / "src")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_walls_stand(copy: Path) -> None:
    done = lint_imports(copy)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "planted"),
    [
        ("service/src/service/health.py", "import model.engine"),
        ("service/src/service/health.py", "import sklearn"),
        ("service/src/service/features.py", "import pandas"),
        ("service/src/service/api.py", "import joblib"),
        ("model/src/model/server.py", "import service.settings"),
        ("model/src/model/history.py", "import sqlalchemy"),
        ("model/src/model/engine.py", "import model.training"),
        ("model/src/model/server.py", "import model.history"),
        ("contract/src/contract/types.py", "import flask"),
        ("contract/src/contract/types.py", "import service.app"),
    ],
)
def test_a_forbidden_import_is_caught(copy: Path, module: str, planted: str) -> None:
    path = copy / module
    path.write_text(path.read_text("utf-8") + f"\n{planted}\n", "utf-8")
    done = lint_imports(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout


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
