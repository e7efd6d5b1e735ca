"""The API's JSON shapes, the same for server and client; `problems` has those of errors."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, TypeVar, overload

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic_core import from_json

from redirector.clicks import figures
from redirector.errors import InvalidInput, MalformedBody
from redirector.problems import Problem
from redirector.shape import Shape

MAX_LINKS_A_REQUEST: Final = 1_000
# Asking twenty destinations of one host politely takes 20 seconds, and more when it redirects or knows no HEAD.
MAX_CHECKED_A_REQUEST: Final = 20
MAX_RECIPIENTS_A_REQUEST: Final = 1_000_000

# Of a body with more mistakes than this, the first are reported.
MAX_ERRORS: Final = 100

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MOMENT: Final = datetime(9999, 12, 31, tzinfo=UTC)  # a day less than there are, for every offset's sake
_RFC_3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def _written_out(moment: object) -> object:
    if isinstance(moment, datetime) or (isinstance(moment, str) and _RFC_3339.fullmatch(moment)):
        return moment
    raise ValueError("a moment is text as RFC 3339 has it, with an offset, like 2026-12-31T23:59:59Z")


def _within_bounds(moment: datetime) -> datetime:
    if not EPOCH <= moment <= LAST_MOMENT:
        raise ValueError("a moment lies between the years 1970 and 9999")
    return moment


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_written_out),
    AfterValidator(_within_bounds),
    Field(strict=False, description="RFC 3339 with an offset", examples=["2026-12-31T23:59:59Z"]),
]
Mode = Literal["aggregate", "individual"]
ShapeT = TypeVar("ShapeT", bound=Shape)


class CampaignIn(Shape):
    """A campaign to create."""

    name: str = Field(description="unique; 1 to 100 printable characters", examples=["November news"])
    tracking: Mode = Field("aggregate", description="`individual` gives each recipient a URL, and needs a consent")
    consent: str = Field("", description="where the readers' consent is recorded; needed for individual tracking")
    sent: int | None = Field(None, ge=0, le=10**12, description="how many mails were sent")
    sent_at: Moment | None = Field(None, description="when the first of them was; tells scanners from readers")
    fallback_url: str | None = Field(None, description="where links lead once they are disabled or have expired")
    expires_at: Moment | None = None
    base_url: str | None = Field(None, description="one of the configured hosts; the main address unless told")


class CampaignPatch(Shape):
    """What of a campaign can be changed; what is left out stays, null takes away."""

    sent: int | None = Field(None, ge=0, le=10**12)
    sent_at: Moment | None = None
    fallback_url: str | None = None
    expires_at: Moment | None = None
    base_url: str | None = Field(None, description="for tracked URLs made from now on; those of before go on working")


class CampaignOut(Shape):
    """A campaign."""

    name: str
    tracking: Mode
    consent: str
    sent: int | None
    sent_at: Moment | None
    fallback_url: str | None
    expires_at: Moment | None
    base_url: str = Field(description="what its tracked URLs begin with")


class LinkIn(Shape):
    """A link to mint; the same destination, topics and label in a campaign are the same link."""

    destination: str = Field(description="http or https, at most 2,048 bytes; kept byte for byte")
    campaign: str = Field(description="created, with aggregate tracking, when it is not there yet")
    topics: list[str] = Field(
        default_factory=list, max_length=10, description="lower-case letters, digits, - and _", examples=[["billing"]]
    )
    label: str = Field(
        default="", description="tells two links to one destination apart, such as `button` and `footer`"
    )
    expires_at: Moment | None = None


class LinkPatch(Shape):
    """What of a link can be changed; what is left out stays, and null takes an expiry away."""

    destination: str = Field(default_factory=str, description="http or https, at most 2,048 bytes; kept byte for byte")
    disabled: bool = Field(default_factory=bool)
    expires_at: Moment | None = None


class LinkOut(Shape):
    """A link, and its tracked URL for everybody."""

    id: int
    code: str
    url: str
    destination: str
    sent_as: str | None = Field(
        description="the Location header, where it differs from the destination: A-labels and percent-encoding stand "
        "for characters that a header cannot hold; else null"
    )
    campaign: str
    topics: list[str]
    label: str
    expires_at: Moment | None
    disabled: bool
    honeypot: bool = Field(description="whether it is hidden in a mail, so that only programs follow it")
    created_at: Moment


class LinkListOut(Shape):
    """One row for each row of the request, in its order."""

    links: list[LinkOut | Problem]


class LinkPageOut(Shape):
    """A campaign's links."""

    links: list[LinkOut]
    next_after: int | None = Field(description="`after` of the next page; null on the last one")


class RecipientsIn(Shape):
    """Whom to make tracked URLs for: opaque ids of the mailing tool's own. They are never stored."""

    recipients: list[Annotated[str, Field(min_length=1, max_length=256)]] = Field(
        min_length=1, max_length=MAX_RECIPIENTS_A_REQUEST
    )


class RecipientURL(Shape):
    """A line of the NDJSON answer."""

    recipient: str
    url: str


class RecipientIn(Shape):
    """A recipient, by the mailing tool's own id. It is never stored."""

    recipient: str = Field(min_length=1, max_length=256)


class ForgottenOut(Shape):
    """What is being erased of a recipient: the clicks up to this moment."""

    up_to: Moment
    clicks: int | None = Field(description="how many there are; null when that cannot be counted in ten seconds")


class RecordedRequest(Shape):
    """A line of the NDJSON answer, before the clicks: what the recipient has asked for."""

    kind: Literal["opt_out", "erasure"]
    at: str = Field(description="when, in Unix ms; an erasure is of the clicks up to then")
    state: Literal["waiting", "done"] | None = Field(
        default=None, description="of an erasure alone; one that is done is remembered for 15 days"
    )


class RecordedClick(Shape):
    """A line of the NDJSON answer: a click, field by field as the stream has it. Empty lines say nothing."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str]


class RewrittenLinkOut(Shape):
    """What happened to a link of a mail."""

    destination: str
    url: str | None
    topics: list[str]
    action: Literal["tracked", "planted", "skipped", "refused"]
    reason: str = Field(description="a stable word; empty for a link that is tracked or was planted")
    detail: str = Field(description="the reason as a sentence")


class RewriteOut(Shape):
    """A rewritten mail, and what happened to each of its links."""

    html: str
    links: list[RewrittenLinkOut]


class FiguresOut(Shape):
    """Three ways to count the same clicks: the truth about readers lies between the second and the third."""

    all: int = Field(description="every click")
    without_certain: int = Field(description="without those that are certainly no readers'")
    without_certain_and_suspect: int = Field(description="without those that may be no readers' either")

    @classmethod
    def of(cls, clicks: Mapping[str, int]) -> "FiguresOut":
        """The figures of clicks by class."""
        counted = figures(clicks)
        return cls(
            all=counted.all,
            without_certain=counted.without_certain,
            without_certain_and_suspect=counted.without_certain_and_suspect,
        )


class TopicOut(Shape):
    """How much interest a topic found."""

    topic: str
    clicks: dict[str, int] = Field(description="by class")
    figures: FiguresOut
    unique_clickers: int = Field(description="different humans this month, estimated")


class TopicsOut(Shape):
    """Every topic."""

    topics: list[TopicOut]
    clicks: dict[str, int] = Field(description="all clicks by class; a click on a link of two topics is one click")
    figures: FiguresOut


class ReportLink(Shape):
    """A link's part in a report."""

    id: int
    destination: str
    label: str
    topics: list[str]
    clicks: dict[str, int]
    figures: FiguresOut
    unique_clickers: int


class ReportHour(Shape):
    """An hour's part in a report."""

    hour: Moment
    clicks: dict[str, int]


class BreakdownOut(Shape):
    """Human clicks by one thing that is known of their readers."""

    cells: dict[str, int] = Field(description="clicks by value, the largest first; `unknown` is a value like others")
    other: int = Field(description="the clicks of all other values together; 0 when there are none")


class ReportOut(Shape):
    """What a campaign achieved."""

    campaign: str
    sent: int | None
    clicks: dict[str, int] = Field(description="by class")
    figures: FiguresOut
    unique_clickers: int
    click_rate: float | None = Field(description="unique clickers / sent; null while `sent` is not known")
    links: list[ReportLink]
    honeypot: dict[str, int] = Field(
        description="clicks by class on links that no reader can see; they are not in `links`, but in all sums"
    )
    hours: list[ReportHour]
    breakdowns: dict[str, BreakdownOut | None] = Field(
        description="human clicks by `device`, `os`, `client`, `lang` and `country`, cells that are too small merged; "
        "null where there are too few clicks to show any. `os` names a system below its device (`desktop / Windows`), "
        "`client` a program below both (`desktop / Windows / Firefox`); below a device or system that is not shown, or "
        "that has too few clicks, none is"
    )
    min_cell: int = Field(description="how many clicks a cell must have to be shown on its own")


class Health(Shape):
    """How a process is."""

    status: Literal["ok", "unavailable"]
    reason: str = ""


def parse_json(body: bytes) -> Any:  # JSON can be anything
    """The body's JSON; raises MalformedBody that says where it stops being JSON."""
    try:
        value = from_json(body, allow_inf_nan=False)
        # Of two members with one name that parser takes the last, and others the first: nobody can have meant that.
        json.loads(body, object_pairs_hook=_each_once)
    except ValueError as error:
        raise MalformedBody(f"the body is not JSON: {error}", remedy="send one JSON value in UTF-8") from None
    return value


def _each_once(members: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            raise ValueError(f"{name[:100]!r} stands twice in one object")
        seen.add(name)


def parse(shape: type[ShapeT], value: object, pointer: str = "") -> ShapeT:
    """The value in its shape; raises InvalidInput with a pointer to each field that is wrong, and with its value."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        first, *others = (
            InvalidInput(
                found["msg"].removeprefix("Value error, "),
                field=pointer + _pointer(found["loc"]),
                part=str(found["input"]) if isinstance(found["input"], str | int | float) else "",
            )
            for found in error.errors(include_url=False, include_context=False)[:MAX_ERRORS]
        )
        first.others = tuple(others)
        raise first from None


def recipient_in(value: object) -> RecipientIn:
    """A recipient; raises InvalidInput that does not show the id, which may be a person's name or address."""
    try:
        return parse(RecipientIn, value)
    except InvalidInput as error:
        for each in (error, *error.others):
            each.part = ""
        raise


def _pointer(location: tuple[int | str, ...]) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in location)


def to_ms(moment: datetime | None) -> int | None:
    """A moment in Unix ms."""
    return None if moment is None else (moment - EPOCH) // timedelta(milliseconds=1)


@overload
def from_ms(moment: int) -> datetime: ...


@overload
def from_ms(moment: int | None) -> datetime | None: ...


def from_ms(moment: int | None) -> datetime | None:
    """A moment of the API from Unix ms."""
    return None if moment is None else EPOCH + timedelta(milliseconds=moment)
