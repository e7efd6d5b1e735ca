"""The API's description says what the API does, in both its forms."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from openapi_pydantic.v3.v3_1 import OpenAPI
from starlette.routing import Route

from redirector.problems import STATUSES
from redirector.replies import LINKS_HEADER
from redirector.web.docs import docs_page
from redirector.web.internal import internal_app
from redirector.web.openapi import document
from redirector.web.operations import OPERATIONS
from tests.web.ports import InternalPort

DOCUMENT = document("1.2.3", "/")


def documented() -> set[tuple[str, str]]:
    """(method, path) of each operation of the document."""
    methods = {"get", "post", "patch", "put", "delete"}
    return {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in methods & item.keys()}


async def test_document_is_served(api: InternalPort) -> None:
    """`/openapi.json` is the document, with the program's version."""
    answer = await api.get("/openapi.json")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == DOCUMENT
    assert answer.json()["info"]["version"] == "1.2.3"


def test_document_is_openapi_3_1() -> None:
    """A library that knows the specification reads it."""
    assert OpenAPI.model_validate(DOCUMENT).openapi.startswith("3.1.")


def test_every_reference_leads_somewhere() -> None:
    """Each `$ref` of the document names a schema that is in it."""
    referred = set(re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(DOCUMENT)))

    assert referred
    assert referred <= DOCUMENT["components"]["schemas"].keys()


async def test_routes_and_document_are_the_same(api: InternalPort) -> None:
    """Every route is documented, and every documented operation has a route."""
    app = internal_app(api.services, version="1")

    routes = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert documented() == routes


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_operation_is_described(operation: Any) -> None:
    """Each operation has a name of its own, a sentence, a key, a scope and its problems."""
    described = DOCUMENT["paths"][operation.path][operation.method.lower()]

    assert described["operationId"] == operation.endpoint.__name__
    assert described["summary"]
    assert described["security"] == [{"key": []}]
    assert f"`{operation.scope}`" in described["description"]
    assert described["responses"].keys() >= {"401", "403", "503"}


async def test_headers_that_clients_need_are_described(api: InternalPort) -> None:
    """What the client reads from a rewritten mail's head stands in the document, under the name that is sent."""
    answer = await api.send("/v1/rewrite", b"<p>", "text/html", campaign=api.name, dry_run="true")

    described = DOCUMENT["paths"]["/v1/rewrite"]["post"]["responses"]["200"]["headers"]
    assert [name.lower() for name in described] == [LINKS_HEADER]
    assert LINKS_HEADER in answer.headers


def test_names_of_operations_are_unique() -> None:
    """Generators of clients make a method of each name."""
    names = [
        item["operationId"] for path in DOCUMENT["paths"].values() for item in path.values() if isinstance(item, dict)
    ]

    assert len(names) == len(set(names)) == len(documented())


def test_every_documented_problem_is_one_that_the_server_has() -> None:
    """Each refused status stands in the table of errors."""
    known = {str(status) for status, _ in STATUSES.values()}

    refused = {
        status
        for operation in OPERATIONS
        for status, answer in DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"].items()
        if "application/problem+json" in answer["content"]
    }
    assert refused <= known


class Page(HTMLParser):
    """What the tests want to know of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in {"href", "src", "action", "data"}]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        """Text between elements."""
        self.text += data


async def test_docs_are_a_page(api: InternalPort) -> None:
    """`/docs` is the page, as HTML in UTF-8."""
    answer = await api.get("/docs")

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == docs_page(DOCUMENT)


def test_docs_show_every_operation_and_shape() -> None:
    """Each operation, with its path, its parameters and its statuses, and each shape with its fields."""
    page = Page(docs_page(DOCUMENT))

    for operation in OPERATIONS:
        assert operation.path in page.text
        assert operation.summary in page.text
        assert operation.endpoint.__name__ in page.ids
        assert all(parameter.name in page.text for parameter in operation.parameters)
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert name in page.ids
        assert all(field in page.text for field in schema["properties"])


def test_docs_fetch_and_run_nothing() -> None:
    """No script, nothing from another address, and no target within the page that is not there."""
    page = Page(docs_page(DOCUMENT))

    assert not {"script", "iframe", "img", "object", "embed", "form"} & set(page.tags)
    no_icon = "data:,"  # or browsers would ask for one
    assert {target for target in page.targets if not target.startswith("#")} == {"/openapi.json", no_icon}
    assert page.tags.count("link") == 1
    assert {target[1:] for target in page.targets if target.startswith("#")} <= set(page.ids)


def test_docs_escape_what_they_show() -> None:
    """Text of the document is text on the page, whatever it says."""
    html = docs_page(document("<script>alert(1)</script>", "/"))

    assert "<script>" not in html
    assert "&lt;script&gt;" in html
