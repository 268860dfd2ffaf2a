"""What is behind the front, for people and for tools of the protocol."""

from collections.abc import Sequence
from html import escape

from front.server import ModelServer

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>Models</title>
<style>body { font: 15px system-ui; margin: 2em } th, td { padding: .3em .8em }</style>
<h1>Models</h1>
<table><tr><th>Model<th>Version<th>Health<th>Requests<th>Cached<th>Failed<th>Busy<th>Limits%s</table>
"""
POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


def index(servers: Sequence[ModelServer]) -> list[dict[str, str]]:
    """The answer to `POST /v2/repository/index`."""
    states = {True: "READY", False: "UNAVAILABLE"}
    return [
        {"name": each.model.name, "version": each.version, "state": states[each.is_fresh]}
        for each in servers
    ]


def page(servers: Sequence[ModelServer]) -> str:
    """All models in a table of HTML."""
    rows = ""
    for each in servers:
        model, health = each.model, "answers" if each.is_fresh else "does not answer"
        failed = sum(each.outcomes[status] for status in ("502", "503", "504"))
        limits = f"{model.at_once} at once, {model.waiting} waiting, {model.timeout_ms} ms"
        counts = (each.outcomes.total(), each.outcomes["cached"], failed, each.busy)
        cells = (model.name, each.version, health, *counts, limits)
        rows += "<tr>" + "".join(f"<td>{escape(str(cell))}" for cell in cells)
    return PAGE % rows
