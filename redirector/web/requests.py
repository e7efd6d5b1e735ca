"""What an API request brings, read once and bounded: the body, the parameters."""

import re
from collections.abc import Collection
from typing import Any, Final

from starlette.requests import Request

from redirector.errors import BodyTooLarge, InvalidInput, UnsupportedMediaType
from redirector.wire import parse_json

_INTEGER: Final = re.compile(r"[0-9]{1,16}")
_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9._:+-]{1,40})", re.IGNORECASE)
TRUE: Final = frozenset({"1", "true", "yes"})
FALSE: Final = frozenset({"0", "false", "no"})


async def body(request: Request, max_bytes: int) -> bytes:
    """The request's body. Raises BodyTooLarge as soon as that is known."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(received)


async def json_body(request: Request, max_bytes: int) -> Any:  # JSON can be anything
    """The JSON of the request's body. Raises UnsupportedMediaType, BodyTooLarge and MalformedBody."""
    require_media_type(request, "application/json")
    return parse_json(await body(request, max_bytes))


def require_media_type(request: Request, expected: str) -> None:
    """Raises UnsupportedMediaType unless the body is of the expected type."""
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != expected:
        raise UnsupportedMediaType(
            "the body's type is not the one expected here",
            field="Content-Type",
            part=content_type[:100],
            remedy=f"send `Content-Type: {expected}`",
        )


def charset(request: Request) -> str | None:
    """The charset that the Content-Type names, if it does."""
    match = _CHARSET.search(request.headers.get("content-type", ""))
    return match[1] if match else None


def no_other_parameter(request: Request, names: Collection[str]) -> None:
    """Refuses query parameters that are not among `names`: a misspelled `dry_run` must not mint."""
    for name in request.query_params:
        if name not in names:
            raise InvalidInput(
                "there is no such parameter",
                field=name[:100],
                remedy=f"use {', '.join(sorted(names))}" if names else "leave it out",
            )


def required(request: Request, name: str) -> str:
    """A query parameter that must be there."""
    value = request.query_params.get(name, "")
    if not value:
        raise InvalidInput("the parameter is missing", field=name, remedy=f"add ?{name}=... to the address")
    return value


def flag(request: Request, name: str) -> bool:
    """A query parameter that is true or false, and false when it is not there."""
    value = request.query_params.get(name, "false").lower()
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise InvalidInput(
        "the parameter is neither true nor false", field=name, part=value[:40], remedy="say true or false"
    )


def integer(request: Request, name: str, default: int, *, most: int) -> int:
    """A query parameter that is a whole number up to `most`."""
    value = request.query_params.get(name)
    if value is None:
        return default
    if not _INTEGER.fullmatch(value) or int(value) > most:
        raise InvalidInput(
            f"the parameter is not a whole number from 0 to {most}", field=name, part=value[:40], remedy="change it"
        )
    return int(value)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body has more than {max_bytes:,} bytes", remedy="send it in parts")
