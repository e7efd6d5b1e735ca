"""The API's answers in the program's words: their shapes, their errors, and what arrives line by line."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import httpx
from pydantic import ValidationError

from redirector.errors import RedirectorError, TooManyRequests, UnexpectedAnswer
from redirector.problems import PROBLEM_MEDIA_TYPE, Problem, error_from
from redirector.shape import Shape
from redirector.wire import LinkListOut, LinkOut, RecipientURL, RecordedClick

LINKS_HEADER: Final = "redirector-links"

LineT_co = TypeVar("LineT_co", covariant=True)
ShapeT = TypeVar("ShapeT", bound=Shape)


@dataclass(frozen=True, slots=True)
class RewrittenMail:
    """A mail with its links tracked, and how many of them were, were skipped, and were refused; `planted` came new."""

    mail: bytes
    tracked: int
    skipped: int
    refused: int
    planted: int = 0


class Arriving(Protocol[LineT_co]):
    """What reads a streamed answer."""

    def read(self, chunk: bytes) -> Iterator[LineT_co]:
        """What is complete with this piece of the answer."""
        ...

    def end(self) -> None:
        """The answer is over. Raises UnexpectedAnswer when something is missing."""
        ...


def in_shape(shape: type[ShapeT]) -> Callable[[httpx.Response], ShapeT]:
    """Reads an answer of this shape; raises what the server reports, or UnexpectedAnswer."""

    def read(response: httpx.Response) -> ShapeT:
        raise_problem(response)
        try:
            return shape.model_validate_json(response.content)
        except ValidationError:
            raise _unexpected(response) from None

    return read


def raise_problem(response: httpx.Response) -> None:
    """Raises what the server reports, or UnexpectedAnswer, unless it succeeded."""
    if response.is_success:
        return
    if response.headers.get("content-type", "").startswith(PROBLEM_MEDIA_TYPE):
        error = error_from(response.content)
        if isinstance(error, TooManyRequests):
            error.retry_after_seconds = _seconds(response.headers.get("retry-after", ""))
        raise error
    raise _unexpected(response)


def _seconds(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1


def _unexpected(response: httpx.Response) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"the server answered {response.status_code} with something that is not understood",
        part=response.headers.get("content-type", ""),
        remedy="see that the address is a redirector's internal port, of this client's version",
    )


def rows(response: httpx.Response) -> list[LinkOut | RedirectorError]:
    """Each row's link, or its error."""
    answer = in_shape(LinkListOut)(response)
    return [error_from(row.model_dump_json().encode()) if isinstance(row, Problem) else row for row in answer.links]


def rewritten(response: httpx.Response) -> RewrittenMail:
    """A rewritten mail."""
    raise_problem(response)
    try:
        counts = dict(each.split("=") for each in response.headers[LINKS_HEADER].split("; "))
        counted = {name: int(counts[name]) for name in ("tracked", "skipped", "refused", "planted")}
        return RewrittenMail(response.content, **counted)
    except (KeyError, ValueError):
        raise _unexpected(response) from None


class ArrivingURLs:
    """The recipients' URLs of a streamed answer, a line of JSON each.

    Lines end at line feeds only: a recipient's id may hold one of the other characters that Unicode ends lines with.
    """

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self._begun = b""

    def read(self, chunk: bytes) -> Iterator[RecipientURL]:
        """Those that are complete with this piece of the answer."""
        *lines, self._begun = (self._begun + chunk).split(b"\n")
        self._missing -= len(lines)
        return map(_url, lines)

    def end(self) -> None:
        """The answer is over. Raises UnexpectedAnswer unless every recipient has a URL."""
        if self._missing or self._begun:
            raise UnexpectedAnswer(
                "the answer has not one URL for each recipient",
                part=str(self._missing),
                remedy="ask again for those that are missing",
            )


class ArrivingClicks:
    """What a streamed answer has of a recipient, a line of JSON each; empty lines are passed over."""

    def __init__(self) -> None:
        self._begun = b""

    def read(self, chunk: bytes) -> Iterator[dict[str, str]]:
        """Those that are complete with this piece of the answer."""
        *lines, self._begun = (self._begun + chunk).split(b"\n")
        return map(_click, filter(None, lines))

    def end(self) -> None:
        """The answer is over. Raises UnexpectedAnswer when it ends within a line."""
        if self._begun:
            raise UnexpectedAnswer("the answer ends within a click", remedy="ask again")


def _click(line: bytes) -> dict[str, str]:
    try:
        return RecordedClick.model_validate_json(line).model_extra or {}
    except ValidationError:  # the line is not shown: it is about a person
        raise UnexpectedAnswer("a line of the answer is not a click") from None


def _url(line: bytes) -> RecipientURL:
    try:
        return RecipientURL.model_validate_json(line)
    except ValidationError:
        part = line[:100].decode("utf-8", "replace")
        raise UnexpectedAnswer("a line of the answer is not a recipient's URL", part=part) from None
