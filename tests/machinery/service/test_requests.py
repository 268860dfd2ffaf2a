"""What requests the routes take, and the page that documents them, in detail."""

import json
import re

import pytest
from conftest import Service
from processes import no_collection
from support import NEW, PATH, SENT
from test_bad_input import OUTCOME_PATH, check

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def one_is_placed(service: Service) -> None:
    service.place()


def test_strange_characters_are_named_in_plain_words(service: Service) -> None:
    assert "half a character" in check(service.post({**NEW, "\ud800": 1}), 422, "body")
    for column in SENT:
        if column.kind == "category":
            problem = check(service.post({**NEW, column.name: "a\nb"}), 422, column.name)
            assert "control characters" in problem
            for hidden in ("a\x1b[2J", "a\x9b2J", "\u202eb", "a\u200b", "\ufeffa"):
                check(service.post({**NEW, column.name: hidden}), 422, column.name)


def test_a_field_that_is_given_twice_is_named(service: Service) -> None:
    for name, shown in (("more", "more"), ("é", "é"), ("\ud800", "ud800"), ("x" * 999, "x")):
        once = json.dumps({name: 1})[1:-1]
        for before, after in (("", ""), ('"a": [{', "}]")):
            body = "{" + before + f"{once}, {once}" + after + "}"
            response = service.client.post(PATH, data=body, content_type="application/json")
            assert shown in check(response, 400)
            assert len(response.data) < 500


def test_a_flood_of_faults_gets_a_short_answer(service: Service) -> None:
    response = service.post({f"{number}" * 50: 1 for number in range(1000)})
    assert response.status_code == 422
    assert len(response.data) < 50_000


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (PATH, "POST"),
        (f"{PATH}/1", "GET HEAD"),
        (OUTCOME_PATH, "POST"),
        *((path, "GET HEAD") for path in ("/livez", "/readyz", "/openapi.json")),
        ("/docs", "GET HEAD"),
    ],
)
def test_other_methods(service: Service, path: str, methods: str) -> None:
    allowed = {*methods.split(), "OPTIONS"}
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "NONSENSE"):
        if method not in allowed:
            response = service.client.open(path, method=method)
            check(response, 405)
            assert set(response.headers["Allow"].split(", ")) == allowed
    options = service.client.options(path)
    assert (options.status_code, options.data) == (200, b"")
    assert set(options.headers["Allow"].split(", ")) == allowed
    service.ready()
    head = service.client.head(path)
    assert (head.status_code, head.data) == (200 if "HEAD" in allowed else 405, b"")


def test_the_page_asks_nothing_of_other_hosts(service: Service) -> None:
    page = service.client.get("/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "//" not in page.text
    assert "<script>" not in page.text
    links = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    assert len(links) == 4
    for link in links:
        part = service.client.get(f"/{link}")
        assert (part.status_code, part.mimetype) == (200, types[link.rsplit(".")[-1]])
        assert len(part.data) > 50
        part.close()
    for link in ("docs/../../__init__.py", "docs/%2e%2e/%2e%2e/__init__.py", "docs/nothing.js"):
        assert service.client.get(f"/{link}").status_code == 404


BODIES: list[tuple[int, bytes]] = [
    *((400, body) for body in (b"", b"{", b"nonsense", b"\xff\xfe", b"[]", b"null", b"1")),
    (400, json.dumps(json.dumps(NEW)).encode()),
    (400, b"[" * 200_000),
    (400, b'{"a": ' * 100_000),
    (400, b'{"a": ' + b"9" * 5000 + b"}"),
    (413, b'{"a": "' + b"x" * 2**20 + b'"}'),
    (413, json.dumps(NEW).encode().ljust(2**20 + 1)),
]


@pytest.mark.parametrize("path", [PATH, OUTCOME_PATH])
def test_a_body_that_is_no_object_or_too_long(service: Service, path: str) -> None:
    for status, body in BODIES:
        with no_collection():
            response = service.client.post(path, data=body, content_type="application/json")
        check(response, status)


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "x", "text/json"]
)
def test_a_body_of_another_content_type(service: Service, content_type: str | None) -> None:
    body = json.dumps(NEW).encode()
    check(service.client.post(PATH, data=body, content_type=content_type), 415)
