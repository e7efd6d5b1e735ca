"""The API's description as a page for people: no script, nothing fetched from anywhere."""

import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def docs_page(document: dict[str, Any]) -> str:
    """The page for an OpenAPI document as `openapi.document` makes it."""
    templates = Environment(
        loader=PackageLoader("redirector.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    templates.filters["shape_names"] = _shape_names
    templates.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    return templates.get_template("docs.html").render(api=document)


def _shape_names(schema: Any) -> list[str]:  # any JSON schema
    """The shapes that a schema refers to, in order; each stands in the page under its name."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return [schema["$ref"].rpartition("/")[2]]
        return [name for value in schema.values() for name in _shape_names(value)]
    if isinstance(schema, list):
        return [name for value in schema for name in _shape_names(value)]
    return []
