"""The operations port: what those who run the service need, and callers do not."""

from time import monotonic
from uuid import uuid4

from flask import Flask, Response, abort, g, jsonify, render_template, request

from service import errors
from service.api import IdConverter
from service.errors import MEDIA_TYPE, problem
from service.explaining import steps
from service.health import Readiness
from service.metrics import Metrics
from service.predictors import Predictor, PredictorError
from service.report.live import LiveReport
from service.use_cases import NotFound, UseCases

MODEL_SECONDS = 1.0
"""How long the model server may take to tell its metrics,"""

EXPLAIN_SECONDS = 5.0
"""and to explain a prediction."""

KINDS = ["text/html", "application/json"]
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def create(
    metrics: Metrics,
    readiness: Readiness,
    predictor: Predictor,
    product: UseCases,
    report: LiveReport,
) -> Flask:
    """The application at the operations port.

    Args:
        metrics: of the service.
        readiness: what was found of the database and of the model.
        predictor: whose server tells its metrics, and explains predictions.
        product: knows what was predicted.
        report: on what was predicted.
    """
    app = Flask(__name__, static_folder=None)
    app.url_map.converters["id"] = IdConverter
    errors.install(app)

    @app.before_request
    def identify() -> None:
        g.request_id = uuid4().hex

    @app.get("/metrics")
    def prometheus() -> Response:
        readiness.report()  # which sets service_ready, even if the checks themselves hang
        text, content_type = metrics.exposition(request.headers.get("Accept", ""))
        return Response(text, content_type=content_type)

    @app.get("/metrics/model")
    def model() -> Response:
        """What the model server measures, which no other process can ask."""
        try:
            text = predictor.query("metrics", monotonic() + MODEL_SECONDS)
        except PredictorError as error:
            return problem(504 if error.reason == "timeout" else 502, f"The model: {error}.")
        if text is None:
            return problem(404, "The model runs in the service's own processes: see /metrics.")
        return Response(text, content_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/report")
    def predictions() -> Response:
        """Who served the predictions, how good they were, what has changed since training."""
        text = report.html()
        if not text:
            return problem(503, "The report is being made for somebody else: ask again.")
        return Response(text, headers={"Content-Security-Policy": PAGE_POLICY})

    @app.get("/explain/<id:number>")
    def explain(number: int) -> Response:
        """One prediction step by step, as a page or as JSON."""
        try:
            found = steps(product, predictor, number, monotonic() + EXPLAIN_SECONDS)
        except NotFound as error:
            abort(404, str(error))
        if request.accept_mimetypes.best_match(KINDS) == "application/json":
            return jsonify(found)
        text = render_template("explanation.html", **found)
        return Response(text, headers={"Content-Security-Policy": PAGE_POLICY})

    @app.get("/readyz")
    def ready() -> Response:
        found = readiness.report()
        response = jsonify(status="ok" if found.ready else "not ready", checks=found.checks)
        if not found.ready:
            response.status_code, response.mimetype = 503, MEDIA_TYPE
        return response

    return app
