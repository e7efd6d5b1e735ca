"""Errors on their way: RFC 9457 problems, and the table that maps each error's code to an HTTP status.

Server and client use the same table. A problem's `type` is stable, and the client builds the same error from it again.
"""

from collections.abc import Mapping
from typing import Final

from pydantic import Field

from redirector import errors
from redirector.errors import InvalidDestination, RedirectorError, UnexpectedAnswer
from redirector.shape import Shape

PROBLEM_TYPE: Final = "urn:redirector:problem:"
PROBLEM_MEDIA_TYPE: Final = "application/problem+json"

# Code -> (status, title), in the order of the tree in `errors`.
STATUSES: Final[Mapping[str, tuple[int, str]]] = {
    "error": (500, "Something went wrong"),
    "invalid_input": (422, "A value is not what it must be"),
    "invalid_destination": (422, "A link may not lead there"),
    "broken_destination": (422, "A link would lead nowhere"),
    "invalid_setting": (500, "A setting is wrong"),
    "malformed_body": (400, "The body cannot be read"),
    "unreadable_mail": (422, "The mail cannot be rewritten safely"),
    "invalid_backup": (422, "The backup cannot be used"),
    "not_found": (404, "There is nothing here"),
    "unknown_link": (404, "There is no such link"),
    "unknown_campaign": (404, "There is no such campaign"),
    "unknown_key": (404, "There is no such API key"),
    "conflict": (409, "It contradicts what is there"),
    "campaign_exists": (409, "A campaign of this name exists with other properties"),
    "link_exists": (409, "The link exists with other properties"),
    "too_many_topics": (409, "There is no room for another topic"),
    "recipients_not_allowed": (409, "The campaign does not tell recipients apart"),
    "clicks_missing": (409, "Clicks that were counted are no longer in the stream"),
    "idempotency_key_reused": (409, "The Idempotency-Key came with another body"),
    "key_name_taken": (409, "A key of this name exists"),
    "other_catalog": (409, "The store has other links under these numbers"),
    "data_directory_in_use": (409, "The data directory is in use"),
    "access_denied": (403, "This is not allowed"),
    "key_missing": (401, "A valid API key is needed"),
    "scope_missing": (403, "The API key may not do this"),
    "request_refused": (400, "The request is refused"),
    "body_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body is of another type than expected"),
    "method_not_allowed": (405, "This address does not do that"),
    "too_many_requests": (429, "There are too many requests"),
    "store_error": (503, "The store refused"),
    "store_unavailable": (503, "The store does not answer"),
    "spool_error": (503, "The spool did not take it"),
    "spool_full": (503, "The spool is full"),
    "spool_failed": (503, "The disk refuses the spool"),
    "server_error": (502, "The server is in trouble"),
    "server_unavailable": (502, "No server answers"),
    "unexpected_answer": (502, "The server's answer is not understood"),
}


class ProblemError(Shape):
    """One thing to mend."""

    pointer: str = Field(description="a JSON pointer into the body, or the name of a parameter; may be empty")
    detail: str
    code: str
    reason: str = Field("", description="of a link that may not lead there: why not, as a stable word")
    part: str = ""
    remedy: str = ""


class Problem(Shape):
    """RFC 9457 problem details."""

    type: str = Field(examples=[PROBLEM_TYPE + "invalid_destination"])
    title: str
    status: int
    detail: str
    errors: list[ProblemError]


def problem(error: RedirectorError) -> Problem:
    """An error as it travels."""
    status, title = STATUSES[error.code]
    mend = [_to_mend(each) for each in (error, *error.others)]
    return Problem(type=PROBLEM_TYPE + error.code, title=title, status=status, detail=str(error), errors=mend)


def _to_mend(error: RedirectorError) -> ProblemError:
    return ProblemError(
        pointer=error.field,
        detail=error.detail,
        code=error.code,
        reason=error.reason if isinstance(error, InvalidDestination) else "",
        part=error.part,
        remedy=error.remedy,
    )


def _as_raised(mend: ProblemError) -> RedirectorError:
    of_class = _CLASSES.get(mend.code, RedirectorError)
    error = of_class(mend.detail, field=mend.pointer, part=mend.part, remedy=mend.remedy)
    if isinstance(error, InvalidDestination):
        error.reason = mend.reason
    return error


def error_from(problem_json: bytes) -> RedirectorError:
    """The error that a server's problem stands for."""
    try:
        received = Problem.model_validate_json(problem_json)
        first, *others = map(_as_raised, received.errors)
    except ValueError as error:
        return UnexpectedAnswer(f"the server's problem report cannot be read: {error}")
    first.others = tuple(others)
    return first


def _tree(root: type[RedirectorError]) -> dict[str, type[RedirectorError]]:
    classes = {root.code: root}
    for child in root.__subclasses__():
        classes |= _tree(child)
    return classes


_CLASSES: Final = _tree(errors.RedirectorError)
