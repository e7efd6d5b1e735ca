"""The API's calls in httpx's words, and its answers in the program's: what both clients share."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote

import httpx
from pydantic import Field, ValidationError
from pydantic_core import PydanticSerializationError

from redirector.errors import InvalidInput, RedirectorError, TooManyRequests, UnexpectedAnswer
from redirector.links import campaign_name
from redirector.problems import PROBLEM_MEDIA_TYPE, Problem, error_from
from redirector.shape import Shape
from redirector.wire import (
    CampaignIn,
    CampaignPatch,
    LinkIn,
    LinkListOut,
    LinkOut,
    LinkPatch,
    RecipientsIn,
    RecipientURL,
    RecordedClick,
    parse,
    recipient_in,
)

LINKS_HEADER: Final = "redirector-links"
CHECK_SECONDS: Final = 300.0

ShapeT = TypeVar("ShapeT", bound=Shape)
Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class RewrittenMail:
    """A mail with its links tracked, and how many of them were, were skipped, and were refused; `planted` came new."""

    mail: bytes
    tracked: int
    skipped: int
    refused: int
    planted: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A request in httpx's words."""

    method: str
    path: str
    params: Query = ()
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float | None = None
    """None is the client's own."""

    def arguments(self) -> dict[str, Any]:
        """As httpx's request functions take them."""
        own = {} if self.timeout_seconds is None else {"timeout": self.timeout_seconds}
        return own | {
            "method": self.method,
            "url": self.path,
            "params": list(self.params),
            "content": self.content,
            "headers": dict(self.headers),
        }


class Arguments(Shape):
    """What goes into an address or a header; wrong ones are refused here, in the same way as those in a body."""

    link_id: int = 0
    campaign: str = ""
    idempotency_key: Annotated[str, Field(pattern=r"^[!-~]{1,255}$")] | None = None


class Mail(Shape):
    """A mail to rewrite, and how."""

    html: bytes
    campaign: str
    topics: list[str]
    recipient: str
    charset: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:+-]{1,40}$")] | None
    never: list[str]
    honeypot: str


def listed(values: object) -> object:
    """Any series of values as a list; a text is none, and stays what it is, to be refused."""
    return list(values) if isinstance(values, Iterable) and not isinstance(values, str | bytes) else values


def _campaign_path(name: str) -> str:
    name = parse(Arguments, {"campaign": name}).campaign
    return "/v1/campaigns/" + quote(campaign_name(name, "/campaign"), safe="")


def _link_path(link_id: int) -> str:
    return f"/v1/links/{parse(Arguments, {'link_id': link_id}).link_id}"


def send(method: str, path: str, shape: Shape, headers: Mapping[str, str] | None = None) -> Call:
    """A shape as a JSON body; only what was set goes into it."""
    return Call(method, path, content=_json(shape), headers={"content-type": "application/json", **(headers or {})})


def _json(shape: Shape) -> bytes:
    try:
        return shape.model_dump_json(exclude_unset=True).encode()
    except PydanticSerializationError:
        raise not_text() from None


def not_text() -> InvalidInput:
    """What speaks against a string with a lone surrogate, such as Python makes of a name that is not UTF-8."""
    return InvalidInput("a text has half a character, which UTF-8 cannot carry", remedy="decode it in the right way")


def create_campaign(properties: Mapping[str, Any]) -> Call:
    """Creates a campaign."""
    return send("POST", "/v1/campaigns", parse(CampaignIn, dict(properties)))


def update_campaign(name: str, changes: Mapping[str, Any]) -> Call:
    """Changes a campaign."""
    return send("PATCH", _campaign_path(name), parse(CampaignPatch, dict(changes)))


def create_link(properties: Mapping[str, Any], idempotency_key: str | None, *, check: bool = False) -> Call:
    """Mints a link; with `check` only if its destination answers."""
    link = parse(LinkIn, {**properties, "topics": listed(properties["topics"])})
    key = parse(Arguments, {"idempotency_key": idempotency_key}).idempotency_key
    call = send("POST", "/v1/links", link, {"idempotency-key": key} if key else None)
    return replace(call, **_checked(check))


def link(link_id: int) -> Call:
    """A link."""
    return Call("GET", _link_path(link_id))


def create_links(links: Iterable[LinkIn], *, check: bool = False) -> Call:
    """Mints links; with `check` those whose destinations answer."""
    rows = (parse(LinkIn, link, f"/{row}") for row, link in enumerate(links))
    body = b"[" + b",".join(map(_json, rows)) + b"]"
    headers = {"content-type": "application/json"}
    return Call("POST", "/v1/links", content=body, headers=headers, **_checked(check))


def _checked(check: bool) -> dict[str, Any]:
    """What a request for checked links has more; the server asks their hosts politely, and takes its time."""
    return {"params": [("check", "true")], "timeout_seconds": CHECK_SECONDS} if check else {}


def update_link(link_id: int, changes: Mapping[str, Any]) -> Call:
    """Changes a link."""
    return send("PATCH", _link_path(link_id), parse(LinkPatch, dict(changes)))


def links(campaign: str | None, after: int) -> Call:
    """A page of a campaign's links, or of all."""
    of = [] if campaign is None else [("campaign", parse(Arguments, {"campaign": campaign}).campaign)]
    return Call("GET", "/v1/links", params=[*of, ("after", str(after)), ("limit", "1000")])


def urls(link_id: int, recipients: Sequence[str]) -> tuple[Call, "ArrivingURLs"]:
    """Tracked URLs for recipients, and what reads them."""
    wanted = parse(RecipientsIn, {"recipients": listed(recipients)})
    return send("POST", _link_path(link_id) + "/urls", wanted), ArrivingURLs(len(wanted.recipients))


def forget_recipient(recipient: str) -> Call:
    """Has a recipient's clicks erased."""
    return send("POST", "/v1/recipients/forget", recipient_in({"recipient": recipient}))


def export_recipient(recipient: str) -> tuple[Call, "ArrivingClicks"]:
    """A recipient's clicks, and what reads them."""
    return send("POST", "/v1/recipients/export", recipient_in({"recipient": recipient})), ArrivingClicks()


def rewrite(
    html: bytes, campaign: str, topics: Sequence[str], how: Mapping[str, object], *, accept: str, dry_run: bool
) -> Call:
    """Tracks the links of a mail; `accept` is text/html, or application/json for the links too."""
    mail = parse(Mail, {"html": html, "campaign": campaign, "topics": listed(topics), **how})
    content_type = "text/html" + (f"; charset={mail.charset}" if mail.charset else "")
    params = [("campaign", mail.campaign), *(("topic", topic) for topic in mail.topics)]
    params += [("recipient", mail.recipient)] if mail.recipient else []
    params += [("never", url) for url in mail.never]
    params += [("honeypot", mail.honeypot)] if mail.honeypot else []
    params += [("dry_run", "true")] if dry_run else []
    headers = {"content-type": content_type, "accept": accept}
    return Call("POST", "/v1/rewrite", params=params, content=mail.html, headers=headers)


def report(campaign: str) -> Call:
    """What a campaign achieved."""
    return Call("GET", _campaign_path(campaign) + "/report")


def read(response: httpx.Response, shape: type[ShapeT]) -> ShapeT:
    """The answer in its shape; raises what the server reports, or UnexpectedAnswer."""
    raise_problem(response)
    try:
        return shape.model_validate_json(response.content)
    except ValidationError:
        raise _unexpected(response) from None


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


def rows(answer: LinkListOut) -> list[LinkOut | RedirectorError]:
    """Each row's link, or its error."""
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
    """The clicks of a streamed answer, a line of JSON each; empty lines are passed over."""

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
