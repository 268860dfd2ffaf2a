"""Exactly these files are stamped out, named for the team's entity."""

import subprocess
from collections.abc import Callable
from pathlib import Path

Stamp = Callable[..., Path]

FILES = """
.dockerignore
.editorconfig
.gitattributes
.github/CODEOWNERS
.github/workflows/check.yml
.gitignore
.pre-commit-config.yaml
CONTRIBUTING.md
Makefile
README.md
contract/pyproject.toml
contract/requirements-dev.txt
contract/requirements.txt
contract/src/contract/__init__.py
contract/src/contract/errors.py
contract/src/contract/examples.json
contract/src/contract/examples.py
contract/src/contract/features.py
contract/src/contract/golden/1.json
contract/src/contract/pin.py
contract/src/contract/prediction.py
contract/src/contract/py.typed
contract/src/contract/signature.py
contract/src/contract/tensors.py
contract/src/contract/types.py
contract/tests/test_golden.py
contract/tests/test_tensors.py
data/README.md
data/history.csv
data/provenance.json
data/sample-license.txt
deploy/demo.py
deploy/pair.py
deploy/up.py
model/pyproject.toml
model/requirements-dev.txt
model/requirements.txt
model/src/model/__init__.py
model/src/model/answer.py
model/src/model/artifact.py
model/src/model/batching.py
model/src/model/bulk/__init__.py
model/src/model/bulk/csv_table.py
model/src/model/bulk/job.py
model/src/model/bulk/parquet_table.py
model/src/model/bulk/predicting.py
model/src/model/bulk/results.py
model/src/model/bulk/tables.py
model/src/model/cells.py
model/src/model/cli.py
model/src/model/compile.py
model/src/model/compiled.py
model/src/model/converters.py
model/src/model/engine.py
model/src/model/errors.py
model/src/model/evaluation.py
model/src/model/frame.py
model/src/model/gunicorn_worker.py
model/src/model/history.py
model/src/model/library.py
model/src/model/logs.py
model/src/model/openapi.py
model/src/model/parity.py
model/src/model/pipeline.py
model/src/model/protocol.py
model/src/model/py.typed
model/src/model/reference.py
model/src/model/server.py
model/src/model/serving.py
model/src/model/settings.py
model/src/model/store.py
model/src/model/training.py
model/src/model/trees.py
model/tests/conftest.py
model/tests/test_artifact.py
model/tests/test_batching.py
model/tests/test_bulk.py
model/tests/test_cli.py
model/tests/test_compile.py
model/tests/test_csv_table.py
model/tests/test_evaluation.py
model/tests/test_history.py
model/tests/test_job.py
model/tests/test_library.py
model/tests/test_openapi.py
model/tests/test_parity.py
model/tests/test_process.py
model/tests/test_server.py
model/tests/test_training.py
model/tests/test_worker.py
pyproject.toml
requirements-uv.txt
requirements.txt
service/pyproject.toml
service/requirements-dev.txt
service/requirements.txt
service/src/service/__init__.py
service/src/service/api.py
service/src/service/app.py
service/src/service/cli.py
service/src/service/database.py
service/src/service/docs.py
service/src/service/errors.py
service/src/service/features.py
service/src/service/forecast.py
service/src/service/gunicorn_conf.py
service/src/service/health.py
service/src/service/memory.py
service/src/service/migrations/__init__.py
service/src/service/migrations/env.py
service/src/service/migrations/script.py.mako
service/src/service/migrations/versions/0001_first_tables.py
service/src/service/orders.py
service/src/service/predictors/__init__.py
service/src/service/predictors/library.py
service/src/service/predictors/messages.py
service/src/service/predictors/open_inference.py
service/src/service/predictors/port.py
service/src/service/py.typed
service/src/service/schemas.py
service/src/service/settings.py
service/src/service/tables.py
service/src/service/telemetry.py
service/tests/conftest.py
service/tests/support.py
service/tests/test_api.py
service/tests/test_bad_input.py
service/tests/test_cli.py
service/tests/test_database.py
service/tests/test_document.py
service/tests/test_health.py
service/tests/test_predictors.py
service/tests/test_settings.py
service/tests/test_telemetry.py
tests/conftest.py
tests/test_deployments.py
tests/test_fallback.py
tests/test_pair.py
tests/test_privacy.py
tests/test_walls.py
"""


def files(project: Path) -> list[str]:
    """The paths of all files."""
    return sorted(str(path.relative_to(project)) for path in project.rglob("*") if path.is_file())


def test_exactly_these_files_are_stamped_out(stamp: Stamp, tmp_path: Path) -> None:
    assert files(stamp(tmp_path)) == FILES.split()


def test_other_answers_move_only_what_bears_a_name(stamp: Stamp, tmp_path: Path) -> None:
    project = stamp(tmp_path, entity="box", history="none")
    renamed = FILES.replace("service/orders.py", "service/boxes.py").split()
    sample = {"data/sample-license.txt"}
    assert files(project) == sorted(set(renamed) - sample)


def test_a_project_is_clean_once_it_is_committed(stamp: Stamp, tmp_path: Path) -> None:
    project = stamp(tmp_path)

    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments]
        done = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True)
        return done.stdout

    git("init", "--quiet")
    git("add", ".")
    assert sorted(git("ls-files").split()) == FILES.split()
