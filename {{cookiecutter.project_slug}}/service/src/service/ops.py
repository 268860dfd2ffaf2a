"""The operations port: what those who run the service need, and callers do not."""

from collections.abc import Callable

from flask import Flask, Response, jsonify

from service.errors import MEDIA_TYPE
from service.health import Report
from service.telemetry import Metrics


def create(metrics: Metrics, report: Callable[[], Report]) -> Flask:
    """The application at the operations port."""
    app = Flask(__name__, static_folder=None)

    @app.get("/metrics")
    def prometheus() -> Response:
        return Response(metrics.exposition(), content_type=metrics.content_type)

    @app.get("/readyz")
    def ready() -> Response:
        found = report()
        response = jsonify(status="ok" if found.ready else "not ready", checks=found.checks)
        if not found.ready:
            response.status_code, response.mimetype = 503, MEDIA_TYPE
        return response

    return app
