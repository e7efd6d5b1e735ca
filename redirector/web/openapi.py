"""The OpenAPI 3.1 document of the internal port, made from the table of operations."""

import re
from typing import Any, Final

from openapi_pydantic import OpenAPI
from openapi_pydantic.util import PydanticSchema, construct_open_api_with_schema_class

from redirector.problems import PROBLEM_MEDIA_TYPE, STATUSES, Problem
from redirector.shape import Shape
from redirector.web.links import MAX_LINK
from redirector.web.operations import HTML, JSON, OPERATIONS, Answer, Operation, Parameter
from redirector.wire import MAX_LINKS_A_REQUEST, Health

_PATH_PARAMETER: Final = re.compile(r"\{(\w+)\}")

PATH_PARAMETERS: Final = {
    "name": {"type": "string", "minLength": 1},
    "id": {"type": "integer", "minimum": 1, "maximum": MAX_LINK},
}

DESCRIPTION: Final = """Mints tracked URLs for the links of mails, and reports how many clicks they got.

Send an API key as `Authorization: Bearer KEY`; `redirector keys create` makes one. Errors are RFC 9457 problems with a
stable `type`, and a JSON pointer for each thing to mend. Any address may answer 503 with `Retry-After` while the store
is out of reach, and 429 with `Retry-After` to a key that makes more requests than it may."""


def document(version: str, base_url: str) -> dict[str, Any]:
    """The document as JSON-ready values."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    paths |= _open_paths()
    rough = OpenAPI.model_validate(
        {
            "openapi": "3.1.0",
            "info": {"title": "redirector", "version": version, "description": DESCRIPTION},
            "paths": paths,
            "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
            "servers": [{"url": base_url}],
        }
    )
    finished = construct_open_api_with_schema_class(rough)
    answer: dict[str, Any] = finished.model_dump(by_alias=True, exclude_none=True, mode="json")
    return answer


def _reference(shape: type[Shape]) -> Any:  # what stands for a schema until all of them are collected
    return PydanticSchema(schema_class=shape, enum=None)


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.endpoint.__name__,
        "summary": operation.summary,
        "security": [{"key": []}],
        "description": f"Needs a key with the scope `{operation.scope}`.",
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": PATH_PARAMETERS[name]}
              for name in _PATH_PARAMETER.findall(operation.path)),
            *(_parameter(parameter) for parameter in operation.parameters),
        ],
        "responses": {str(status): _answer(answer) for status, answer in operation.answers.items()}
        | {str(status): _refusal(status) for status in sorted({*operation.refuses, 400, 401, 403, 422, 429, 503})},
    }  # fmt: skip
    if operation.takes_html:
        described["requestBody"] = {"required": True, "content": {HTML: {}}}  # any bytes
    elif operation.takes:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": _body(operation)}}}
    return described


def _body(operation: Operation) -> dict[str, Any]:
    shapes: list[Any] = [_reference(shape) for shape in operation.takes]
    if operation.takes_list:
        most = f"at most {MAX_LINKS_A_REQUEST:,}; more answer 413, and a wrong one is refused on its own"
        shapes.append({"type": "array", "items": {}, "description": most})
    return shapes[0] if len(shapes) == 1 else {"anyOf": shapes}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": parameter.kind}
    if parameter.kind == "array":
        schema["items"] = {"type": "string"}
    if parameter.kind == "integer":
        schema |= {"minimum": 0, "maximum": parameter.most}
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.description,
        "schema": schema,
    }


def _answer(answer: Answer) -> dict[str, Any]:
    by_type: dict[str, list[type[Shape] | None]] = {}
    for media_type, shape in answer.content:
        by_type.setdefault(media_type, []).append(shape)
    described: dict[str, Any] = {
        "description": answer.description,
        "content": {media_type: {"schema": _schema(shapes)} for media_type, shapes in by_type.items()},
    }
    if answer.headers:
        described["headers"] = {
            name: {"description": what, "schema": {"type": "string"}} for name, what in answer.headers
        }
    return described


def _schema(shapes: list[type[Shape] | None]) -> Any:  # a schema, or what stands for one until it is resolved
    known: list[Any] = [{"type": "string"} if shape is None else _reference(shape) for shape in shapes]
    return known[0] if len(known) == 1 else {"anyOf": known}


def _refusal(status: int) -> dict[str, Any]:
    titles = " / ".join(title for known, title in STATUSES.values() if known == status)
    waiting = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}} if status in {429, 503} else {}
    return {
        **({"headers": waiting} if waiting else {}),
        "description": titles,
        "content": {PROBLEM_MEDIA_TYPE: {"schema": _reference(Problem)}},
    }


def _open_paths() -> dict[str, Any]:
    """What needs no key: health, metrics, and this document."""
    health = {JSON: {"schema": _reference(Health)}}
    text = {"schema": {"type": "string"}}
    json = {"schema": {"type": "object"}}
    return {
        "/livez": _open_path("livez", "Whether this process runs", {"200": ("it does", health)}),
        "/readyz": _open_path(
            "readyz", "Whether this process can do its work", {"200": ("it can", health), "503": ("not now", health)}
        ),
        "/metrics": _open_path(
            "metrics",
            "Metrics as Prometheus text or OpenMetrics",
            {"200": ("the metrics", {"text/plain": text, "application/openmetrics-text": text})},
        ),
        "/openapi.json": _open_path("openapi", "This document", {"200": ("OpenAPI 3.1", {JSON: json})}),
        "/docs": _open_path("docs", "This document for people", {"200": ("a page", {HTML: text})}),
    }


def _open_path(name: str, summary: str, answers: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """A GET with its answers: by status, what that one is, and its content."""
    responses = {status: {"description": what, "content": content} for status, (what, content) in answers.items()}
    return {"get": {"operationId": name, "summary": summary, "responses": responses}}
