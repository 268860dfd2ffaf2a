"""The composition root: everything is built and put together here, and nowhere else."""

from functools import partial

import structlog
from flask.json.provider import DefaultJSONProvider
from flask_openapi.models.info import Info
from flask_openapi.openapi import OpenAPI

from service import access, api, docs, errors, health, ops, reports, telemetry, use_cases
from service.database import Database
from service.fallbacks import FallbackStore
from service.forecast import Forecaster
from service.idempotency import KeyStore
from service.metrics import Metrics
from service.predictors import Predictor, from_url
from service.predictors.access import access_of
from service.predictors.breaker import Breaker
from service.predictors.canary import Canary
from service.predictors.guarded import Guarded
from service.report.live import LiveReport
from service.report.versions import versions_of
from service.settings import Settings, invalid_setting, load
from service.shadow import Shadow
from service.tracing import Tracing, is_configured

log = structlog.get_logger(__name__)

DESCRIPTION = """
{{ cookiecutter.description | wordwrap(98) }}.

`/readyz` says whether requests are answered, and whether by the model or by its fallback.
"""


class UnsortedJSONProvider(DefaultJSONProvider):
    """JSON whose fields stand in the order of their declaration."""

    sort_keys = False


class Application(OpenAPI):
    """Flask with this service's JSON, requests and OpenAPI document."""

    json_provider_class = UnsortedJSONProvider
    request_class = errors.StrictRequest

    def generate_spec_json(self) -> None:
        """Write the document, without the 422 that the extension adds to routes with no input."""
        super().generate_spec_json()  # type: ignore[no-untyped-call]
        for path in self.spec_json["paths"].values():
            for operation in path.values():
                if "application/json" in operation["responses"]["422"]["content"]:
                    del operation["responses"]["422"]


def create_app(settings: Settings | None = None, predictor: Predictor | None = None) -> Application:
    """The service as a WSGI application.

    It starts without its database and without its model, and reports that it is not ready.

    Args:
        settings: those of the process by default.
        predictor: the one that `settings.model_url` names by default.

    Raises:
        SystemExit: a setting is invalid.
    """
    settings = settings or load()
    telemetry.configure_logging(settings, *reports.processors(settings))
    tracing = tracing_of()
    metrics = Metrics(settings.revision)
    database = Database(settings.database_url, connections=settings.threads)
    guarded = partial(
        Guarded,
        limit=concurrent_calls(settings),
        deadline=settings.model_deadline,
        range_factor=settings.model_range_factor,
    )
    predictor = guarded(predictor or predictor_of(settings), Breaker(metrics.breaker_state.set))
    if settings.model_canary_url:
        canary = guarded(predictor_of(settings, "model_canary_url"), Breaker(name="canary"))
        share = settings.model_canary_share
        predictor = Canary(predictor, canary, share, metrics.canary_state.set)
    predictor.open()
    predictor = tracing.around(predictor)
    fallbacks = FallbackStore(database.sessions)
    forecaster = Forecaster(predictor, fallbacks, metrics)
    keys = KeyStore(database, settings.idempotency_hours)
    shadow = None
    if settings.model_shadow_url:
        tried = guarded(predictor_of(settings, "model_shadow_url"), Breaker(name="shadow"))
        shadow = Shadow(tried, database, settings.model_deadline, metrics.shadows.labels)
    product = use_cases.UseCases(database, forecaster, fallbacks, keys, metrics, shadow)
    readiness = health.Readiness(database, predictor, metrics.ready.set)

    app = Application(
        __name__,
        info=Info(title="{{ cookiecutter.project_name }}", version="1", description=DESCRIPTION),
        validation_error_model=errors.Problem,
        validation_error_callback=errors.invalid,
        doc_ui=False,
        static_folder=None,
    )
    app.extensions["database"] = database
    app.extensions["readiness"] = readiness
    app.extensions["metrics"] = metrics
    app.extensions["settings"] = settings
    app.extensions["tracing"] = tracing
    versions = partial(versions_of, predictor)
    report = LiveReport(settings.database_url, versions, 1000 * settings.model_deadline, metrics)
    app.extensions["report"] = report
    app.extensions["ops"] = ops.create(metrics, readiness, predictor, product, report)
    app.openapi_version = "3.1.0"
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body
    app.url_map.merge_slashes = False
    app.url_map.converters["id"] = api.IdConverter
    telemetry.install(app, metrics, tracing, settings)
    access.install(app, settings)
    errors.install(app)
    app.register_api(api.routes(product))
    app.register_api(health.routes(readiness))
    if settings.docs:
        docs.install(app)
    return app


def concurrent_calls(settings: Settings) -> int:
    """How many threads of a process may wait for the model: half, so that the rest go on."""
    return max(1, settings.threads // 2)


def predictor_of(settings: Settings, name: str = "model_url") -> Predictor:
    """The predictor that this setting names.

    Raises:
        SystemExit: one of the settings `model_…` is invalid.
    """
    access = access_of(settings)
    try:
        url, connections = settings.models[name], concurrent_calls(settings)
        return from_url(url, access=access, connections=connections)
    except ValueError as error:
        raise invalid_setting(name, str(error)) from None


def tracing_of() -> Tracing:
    """What records spans where that is configured and installed, else what passes traces on."""
    if is_configured():
        try:
            from service.spans import Spans
        except ModuleNotFoundError as error:
            log.warning("no spans are recorded", fault=f"{error}: see `otel` in pyproject.toml")
        else:
            return Spans()
    return Tracing()
