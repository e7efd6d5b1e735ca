"""HTML from the templates beside this file: whatever is put into one is escaped, and none may be forgotten."""

import json
import re
from functools import cache
from html import escape
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_CODE: Final = re.compile(r"`([^`]+)`")


def rendered(template: str, **values: Any) -> str:
    """The template's HTML. It is compiled when it is first asked for, in some 20 ms."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("redirector.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shape_names"] = _shape_names
    environment.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    environment.filters["with_code"] = with_code
    return environment


def with_code(text: str) -> Markup:
    """Text with what stands in backticks as `<code>`; all of it escaped."""
    return Markup(_CODE.sub(r"<code>\1</code>", escape(text)))  # noqa: S704 - escaped just before


def _shape_names(schema: Any) -> list[str]:  # any JSON schema
    """The shapes that a schema refers to, in order; each stands in the page under its name."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return [schema["$ref"].rpartition("/")[2]]
        return [name for value in schema.values() for name in _shape_names(value)]
    if isinstance(schema, list):
        return [name for value in schema for name in _shape_names(value)]
    return []
