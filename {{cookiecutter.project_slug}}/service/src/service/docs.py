"""The OpenAPI document, and a page to read and try it that needs no other host: `/` leads there."""

from importlib.resources import files

from flask import Response, redirect, send_from_directory
from flask_openapi.openapi import OpenAPI
from werkzeug import Response as BaseResponse

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>API</title>
<link rel="icon" href="docs/images/swagger.svg">
<link rel="stylesheet" href="docs/css/swagger-ui.css">
<div id="page"></div>
<script src="docs/js/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
START = 'SwaggerUIBundle({url: "openapi.json", dom_id: "#page", deepLinking: true});\n'
POLICY = "; ".join(
    [
        "default-src 'none'",
        "connect-src 'self'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "frame-ancestors 'none'",
    ]
)


def install(app: OpenAPI) -> None:
    """Serve `/openapi.json` and `/docs`."""
    bundle = str(files("flask_openapi_swagger") / "templates" / "swagger")

    @app.route("/openapi.json")
    def document() -> dict[str, object]:
        return app.api_doc

    @app.route("/")
    def root() -> BaseResponse:
        return redirect("docs")

    @app.route("/docs")
    def page() -> Response:
        return Response(PAGE, mimetype="text/html", headers={"Content-Security-Policy": POLICY})

    @app.route("/docs/start.js")
    def start() -> Response:
        return Response(START, mimetype="text/javascript")

    @app.route("/docs/<path:name>")
    def part(name: str) -> Response:
        return send_from_directory(bundle, name)
