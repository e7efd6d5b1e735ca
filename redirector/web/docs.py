"""The API's description as a page for people: no script, nothing fetched from anywhere."""

from typing import Any

from redirector.web.rendering import rendered


def docs_page(document: dict[str, Any]) -> str:
    """The page for an OpenAPI document as `openapi.document` makes it."""
    return rendered("docs.html", api=document)
