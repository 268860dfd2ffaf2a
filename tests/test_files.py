"""Exactly these files are stamped out, whatever the answers."""

import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

Stamp = Callable[..., Path]

FILES = """
.dockerignore
.editorconfig
.gitattributes
.github/CODEOWNERS
.github/workflows/check.yml
.github/workflows/deploy.yml
.github/workflows/retrain.yml
.gitignore
.pre-commit-config.yaml
.template.json
CONTRIBUTING.md
Makefile
README.md
contract/pyproject.toml
contract/requirements-dev.txt
contract/requirements.txt
contract/src/contract/__init__.py
contract/src/contract/errors.py
contract/src/contract/evolution.py
contract/src/contract/examples.json
contract/src/contract/examples.py
contract/src/contract/explanation.py
contract/src/contract/features.py
contract/src/contract/golden/1.json
contract/src/contract/names.py
contract/src/contract/pin.py
contract/src/contract/prediction.py
contract/src/contract/py.typed
contract/src/contract/signature.py
contract/src/contract/tensors.py
contract/src/contract/timezone.py
contract/src/contract/tolerance.py
contract/src/contract/tracing.py
contract/src/contract/types.py
contract/tests/strategies.py
contract/tests/test_evolution.py
contract/tests/test_features.py
contract/tests/test_golden.py
contract/tests/test_names.py
contract/tests/test_tensors.py
contract/tests/test_tolerance.py
contract/tests/test_tracing.py
contract/tests/test_types.py
data/README.md
data/history.csv
data/provenance.json
data/sample-license.txt
deploy/compose.yaml
deploy/deploy.mk
deploy/images/images.py
deploy/images/model.Dockerfile
deploy/images/service.Dockerfile
deploy/kubernetes/base/deployment.yaml
deploy/kubernetes/base/kustomization.yaml
deploy/kubernetes/base/migrate.yaml
deploy/kubernetes/base/namespace.yaml
deploy/kubernetes/base/network.yaml
deploy/kubernetes/base/scaling.yaml
deploy/kubernetes/base/service.yaml
deploy/kubernetes/deploy.py
deploy/kubernetes/overlays/retrain/cronjob.yaml
deploy/kubernetes/overlays/retrain/kustomization.yaml
deploy/kubernetes/overlays/retrain/serving.yaml
deploy/kubernetes/overlays/separate/kustomization.yaml
deploy/kubernetes/overlays/separate/model/deployment.yaml
deploy/kubernetes/overlays/separate/model/kustomization.yaml
deploy/kubernetes/overlays/separate/model/scaling.yaml
deploy/kubernetes/overlays/separate/model/service.yaml
deploy/kubernetes/overlays/separate/network.yaml
deploy/kubernetes/overlays/separate/service.yaml
deploy/monitoring/dashboard.json
deploy/monitoring/grafana/dashboards/files.yml
deploy/monitoring/grafana/datasources/prometheus.yml
deploy/monitoring/kubernetes.yml
deploy/monitoring/prometheus.yml
deploy/monitoring/rules.yml
deploy/monitoring/rules_test.yml
deploy/systemd/check.service
deploy/systemd/hardened.conf
deploy/systemd/model.service
deploy/systemd/service.service
deploy/systemd/sysusers.conf
dev/chaos.py
dev/demo.py
dev/faults/__init__.py
dev/faults/certificates.py
dev/faults/clients.py
dev/faults/database.py
dev/faults/fake_model.py
dev/faults/load.py
dev/faults/model_side.py
dev/faults/operating_system.py
dev/faults/postgres.py
dev/faults/processes.py
dev/faults/scenarios.py
dev/faults/service_side.py
dev/faults/strangers.py
dev/field.py
dev/first.py
dev/migrations.py
dev/pair.py
dev/records.py
dev/score.py
dev/soak.py
dev/template.py
dev/up.py
docs/adr/0001-the-model-is-encapsulated.md
docs/adr/0002-walls-and-layers.md
docs/adr/0003-one-environment-per-unit.md
docs/adr/0004-public-openapi-from-the-code.md
docs/adr/0005-library-by-entry-point.md
docs/adr/0006-ready-while-the-product-can-answer.md
docs/adr/0007-judged-on-the-past-fitted-on-all.md
docs/adr/0008-missing-values-on-the-wire.md
docs/adr/0009-starlette-under-gunicorn.md
docs/adr/0010-what-a-version-is.md
docs/adr/0011-http-client-for-the-model.md
docs/adr/0012-eight-threads.md
docs/adr/0013-the-model-servers-worker.md
docs/adr/0014-compiled-and-proven.md
docs/adr/0015-the-loop-predicts.md
docs/adr/0016-a-derived-feature-is-written-once.md
docs/adr/0017-the-fallback-comes-with-each-answer.md
docs/adr/0018-no-openapi-for-the-private-api.md
docs/adr/0019-one-reader-of-tables.md
docs/adr/0020-the-default-pipeline.md
docs/adr/0021-moments.md
docs/adr/0022-lightgbm-and-xgboost.md
docs/adr/0023-the-server-in-front.md
docs/adr/0024-the-public-door.md
docs/adr/0025-one-round-trip.md
docs/adr/0026-idempotency-key.md
docs/adr/0027-a-guard-before-the-model.md
docs/adr/0028-the-model-server-sheds-and-drains.md
docs/adr/0029-who-may-call-the-model.md
docs/adr/0030-signed-versions.md
docs/adr/0031-outliers-of-the-target.md
docs/adr/0032-chaos.md
docs/adr/0033-images.md
docs/adr/0034-a-model-server-without-a-network.md
docs/adr/0035-the-model-server-is-a-native-sidecar.md
docs/adr/0036-what-is-deployed-before-what.md
docs/adr/0037-migrations-expand-then-contract.md
docs/adr/0038-tracing.md
docs/adr/0039-metrics.md
docs/adr/0040-a-check-after-each-deploy.md
docs/adr/0041-on-one-machine.md
docs/adr/0042-the-log-says-what-is-current.md
docs/adr/0043-the-gate.md
docs/adr/0044-shadow-and-canary.md
docs/adr/0045-retraining.md
docs/adr/0046-the-report.md
docs/adr/0047-explaining-one-prediction.md
docs/adr/0048-contracts-expand-and-contract.md
docs/adr/0049-the-ml-test-score.md
docs/adr/0050-the-model-server-as-a-child.md
docs/adr/README.md
docs/adr/measurements.md
docs/report.webp
docs/runbook.md
docs/threat-model.md
model/pyproject.toml
model/requirements-dev.txt
model/requirements-serving.txt
model/requirements.txt
model/src/model/__init__.py
model/src/model/artifacts/__init__.py
model/src/model/artifacts/bucket.py
model/src/model/artifacts/files.py
model/src/model/artifacts/log.py
model/src/model/artifacts/manifest.py
model/src/model/artifacts/opening.py
model/src/model/artifacts/signing.py
model/src/model/artifacts/store.py
model/src/model/artifacts/verification.py
model/src/model/bulk/__init__.py
model/src/model/bulk/job.py
model/src/model/bulk/predicting.py
model/src/model/bulk/writing.py
model/src/model/cli/__init__.py
model/src/model/cli/describing.py
model/src/model/cli/explaining.py
model/src/model/cli/predicting.py
model/src/model/cli/rows.py
model/src/model/cli/training.py
model/src/model/cli/versions.py
model/src/model/columns.py
model/src/model/compiling/__init__.py
model/src/model/compiling/boosting.py
model/src/model/compiling/compiler.py
model/src/model/compiling/converters.py
model/src/model/compiling/graph.py
model/src/model/compiling/parity.py
model/src/model/compiling/probes.py
model/src/model/compiling/trees.py
model/src/model/engines/__init__.py
model/src/model/engines/encoding.py
model/src/model/engines/explaining.py
model/src/model/engines/loading.py
model/src/model/engines/onnx.py
model/src/model/engines/predictions.py
model/src/model/engines/sklearn.py
model/src/model/errors.py
model/src/model/limits.py
model/src/model/logs.py
model/src/model/moments.py
model/src/model/pipeline.py
model/src/model/py.typed
model/src/model/serving/__init__.py
model/src/model/serving/access.py
model/src/model/serving/admission.py
model/src/model/serving/app.py
model/src/model/serving/batching.py
model/src/model/serving/check.py
model/src/model/serving/following.py
model/src/model/serving/handed.py
model/src/model/serving/library.py
model/src/model/serving/master.py
model/src/model/serving/messages.py
model/src/model/serving/metrics.py
model/src/model/serving/middleware.py
model/src/model/serving/processes.py
model/src/model/serving/protocol.py
model/src/model/serving/server.py
model/src/model/serving/unix.py
model/src/model/serving/watching.py
model/src/model/serving/worker.py
model/src/model/settings.py
model/src/model/tables/__init__.py
model/src/model/tables/cells.py
model/src/model/tables/reading.py
model/src/model/training/__init__.py
model/src/model/training/aging.py
model/src/model/training/comparison.py
model/src/model/training/diff.py
model/src/model/training/evaluation.py
model/src/model/training/fitting.py
model/src/model/training/gate.py
model/src/model/training/history.py
model/src/model/training/intervals.py
model/src/model/training/linear.py
model/src/model/training/losses.py
model/src/model/training/outliers.py
model/src/model/training/provenance.py
model/src/model/training/search.py
model/src/model/training/splitting.py
model/src/model/training/trainer.py
model/src/model/training/trial.py
model/tests/conftest.py
model/tests/support.py
model/tests/test_api.py
model/tests/test_artifacts.py
model/tests/test_bulk.py
model/tests/test_cli.py
model/tests/test_comparison.py
model/tests/test_compiling.py
model/tests/test_explaining.py
model/tests/test_handed.py
model/tests/test_history.py
model/tests/test_metrics.py
model/tests/test_pipeline.py
model/tests/test_process.py
model/tests/test_splitting.py
model/tests/test_training.py
model/tests/test_versions.py
pyproject.toml
requirements-uv.txt
requirements.txt
service/pyproject.toml
service/requirements-dev.txt
service/requirements-extras.txt
service/requirements.txt
service/src/service/__init__.py
service/src/service/access.py
service/src/service/api.py
service/src/service/app.py
service/src/service/check.py
service/src/service/cli.py
service/src/service/connections.py
service/src/service/context.py
service/src/service/database.py
service/src/service/docs.py
service/src/service/errors.py
service/src/service/explaining.py
service/src/service/export.py
service/src/service/fallbacks.py
service/src/service/features.py
service/src/service/files.py
service/src/service/forecast.py
service/src/service/forgetting.py
service/src/service/gunicorn_conf.py
service/src/service/health.py
service/src/service/idempotency.py
service/src/service/inserts.py
service/src/service/metrics.py
service/src/service/migrations/__init__.py
service/src/service/migrations/env.py
service/src/service/migrations/script.py.mako
service/src/service/migrations/versions/0001_first_tables.py
service/src/service/migrations/versions/0002_idempotency_keys.py
service/src/service/ops.py
service/src/service/predictors/__init__.py
service/src/service/predictors/access.py
service/src/service/predictors/breaker.py
service/src/service/predictors/canary.py
service/src/service/predictors/child.py
service/src/service/predictors/connecting.py
service/src/service/predictors/guarded.py
service/src/service/predictors/incoming.py
service/src/service/predictors/library.py
service/src/service/predictors/messages.py
service/src/service/predictors/open_inference.py
service/src/service/predictors/port.py
service/src/service/processes.py
service/src/service/py.typed
service/src/service/report/__init__.py
service/src/service/report/charts.py
service/src/service/report/drift.py
service/src/service/report/facts.py
service/src/service/report/features.py
service/src/service/report/findings.py
service/src/service/report/live.py
service/src/service/report/page.py
service/src/service/report/queries.py
service/src/service/report/report.html
service/src/service/report/versions.py
service/src/service/reports.py
service/src/service/schemas.py
service/src/service/server/__init__.py
service/src/service/server/answers.py
service/src/service/server/connection.py
service/src/service/server/front.py
service/src/service/server/parser.py
service/src/service/server/pool.py
service/src/service/server/request.py
service/src/service/server/worker.py
service/src/service/server/wsgi.py
service/src/service/settings.py
service/src/service/shadow.py
service/src/service/spans.py
service/src/service/tables.py
service/src/service/telemetry.py
service/src/service/templates/explanation.html
service/src/service/tracing.py
service/src/service/use_cases.py
service/tests/conftest.py
service/tests/fake_child.py
service/tests/support.py
service/tests/test_access.py
service/tests/test_api.py
service/tests/test_bad_input.py
service/tests/test_canary.py
service/tests/test_check.py
service/tests/test_child.py
service/tests/test_cli.py
service/tests/test_database.py
service/tests/test_document.py
service/tests/test_drift.py
service/tests/test_guarded.py
service/tests/test_health.py
service/tests/test_idempotency.py
service/tests/test_metrics.py
service/tests/test_ops.py
service/tests/test_predictors.py
service/tests/test_report.py
service/tests/test_reports.py
service/tests/test_server.py
service/tests/test_settings.py
service/tests/test_shadow.py
service/tests/test_telemetry.py
service/tests/test_tracing.py
tests/conftest.py
tests/test_chaos.py
tests/test_check.py
tests/test_deployments.py
tests/test_fallback.py
tests/test_kubernetes.py
tests/test_learning.py
tests/test_new_feature.py
tests/test_pair.py
tests/test_privacy.py
tests/test_runbook.py
tests/test_subprocess.py
tests/test_systemd.py
tests/test_tracing.py
tests/test_walls.py
"""


def files(project: Path) -> list[str]:
    """The paths of all files."""
    return sorted(str(path.relative_to(project)) for path in project.rglob("*") if path.is_file())


def test_exactly_these_files_are_stamped_out(stamp: Stamp, tmp_path: Path) -> None:
    assert files(stamp(tmp_path)) == FILES.split()


def test_other_answers_name_no_other_files(stamp: Stamp, tmp_path: Path) -> None:
    project = stamp(tmp_path, entity="box", history="none")
    assert files(project) == sorted({*FILES.split()} - {"data/sample-license.txt"})


def test_the_threat_models_name_tests_that_there_are(stamp: Stamp, tmp_path: Path) -> None:
    template = Path(__file__).parent.parent
    for root in (template, stamp(tmp_path)):
        named = re.findall(
            r"`([\w/]*test_\w+\.py)`", (root / "docs/threat-model.md").read_text("utf-8")
        )
        folders = [root / "tests", *root.glob("*/tests"), template / "tests/machinery"]
        there = [path for folder in folders for path in folder.rglob("test_*.py")]
        missing = [name for name in named if not any(each.match(name) for each in there)]
        assert named
        assert missing == []


def test_the_threat_model_names_scenarios_that_there_are(stamp: Stamp, tmp_path: Path) -> None:
    project = stamp(tmp_path)
    page = (project / "docs/threat-model.md").read_text("utf-8")
    cells = re.findall(r"chaos ((?:`[\w-]+`(?:, )?)+)", page)
    named = {name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)}
    code = "".join(path.read_text("utf-8") for path in project.glob("dev/faults/*.py"))
    assert named
    assert named <= {name.replace("_", "-") for name in re.findall(r"^def (\w+)\(", code, re.M)}


def test_a_project_is_clean_once_it_is_committed(stamp: Stamp, tmp_path: Path) -> None:
    project = stamp(tmp_path)

    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments]
        done = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True)
        return done.stdout

    git("init", "--quiet")
    git("add", ".")
    assert sorted(git("ls-files").split()) == FILES.split()


def test_every_direct_dependency_is_pinned_wherever_it_is_installed(
    stamp: Stamp, tmp_path: Path
) -> None:
    project = stamp(tmp_path)
    declared: dict[str, list[str]] = {}
    for unit in ("contract", "service", "model"):
        told = tomllib.loads((project / unit / "pyproject.toml").read_text("utf-8"))["project"]
        training = told["optional-dependencies"].get("training", [])
        declared[f"{unit}/requirements.txt"] = [*told["dependencies"], *training]
        if training:
            declared[f"{unit}/requirements-serving.txt"] = told["dependencies"]
    contract = declared["contract/requirements.txt"]
    for path, needed in declared.items():
        pinned = (project / path).read_text("utf-8")
        names = {re.split(r"[\[>=<]", each)[0] for each in (*needed, *contract)}
        for name in names - {"contract"}:
            assert re.search(
                rf"^{name}(\[.*\])?==[0-9.a-z]+( ; python_[^']+'[0-9.]+')? \\$", pinned, re.M
            ), (path, name)
