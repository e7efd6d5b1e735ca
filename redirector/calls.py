"""The API's calls in httpx's words, and its answers in the program's: what both clients share."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from redirector.errors import RedirectorError, UnexpectedAnswer
from redirector.wire import (
    PROBLEM_MEDIA_TYPE,
    CampaignIn,
    CampaignPatch,
    LinkIn,
    LinkListOut,
    LinkOut,
    LinkPatch,
    Problem,
    RecipientURL,
    Shape,
    error_from,
    parse,
)

LINKS_HEADER: Final = "redirector-links"

ShapeT = TypeVar("ShapeT", bound=Shape)
Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class RewrittenMail:
    """A mail with its links tracked, and how many of them were, were skipped, and were refused."""

    mail: bytes
    tracked: int
    skipped: int
    refused: int


@dataclass(frozen=True, slots=True)
class Call:
    """A request in httpx's words."""

    method: str
    path: str
    params: Query = ()
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """As httpx's request functions take them."""
        return {
            "method": self.method,
            "url": self.path,
            "params": list(self.params),
            "content": self.content,
            "headers": dict(self.headers),
        }


def send(method: str, path: str, shape: Shape, headers: Mapping[str, str] | None = None) -> Call:
    """A shape as a JSON body; only what was set goes into it."""
    body = shape.model_dump_json(exclude_unset=True).encode()
    return Call(method, path, content=body, headers={"content-type": "application/json", **(headers or {})})


def create_campaign(properties: Mapping[str, Any]) -> Call:
    """Creates a campaign."""
    return send("POST", "/v1/campaigns", parse(CampaignIn, dict(properties)))


def update_campaign(name: str, changes: Mapping[str, Any]) -> Call:
    """Changes a campaign."""
    return send("PATCH", f"/v1/campaigns/{quote(name, safe='')}", parse(CampaignPatch, dict(changes)))


def create_link(properties: Mapping[str, Any], idempotency_key: str | None) -> Call:
    """Mints a link."""
    link = parse(LinkIn, dict(properties))
    return send("POST", "/v1/links", link, {"idempotency-key": idempotency_key} if idempotency_key else None)


def create_links(links: Iterable[LinkIn]) -> Call:
    """Mints links."""
    body = b"[" + b",".join(link.model_dump_json(exclude_unset=True).encode() for link in links) + b"]"
    return Call("POST", "/v1/links", content=body, headers={"content-type": "application/json"})


def update_link(link_id: int, changes: Mapping[str, Any]) -> Call:
    """Changes a link."""
    return send("PATCH", f"/v1/links/{link_id}", parse(LinkPatch, dict(changes)))


def links(campaign: str, after: int) -> Call:
    """A page of a campaign's links."""
    return Call("GET", "/v1/links", params=[("campaign", campaign), ("after", str(after)), ("limit", "1000")])


def urls(link_id: int, recipients: Sequence[str]) -> Call:
    """Tracked URLs for recipients."""
    body = json.dumps({"recipients": list(recipients)}).encode()
    return Call("POST", f"/v1/links/{link_id}/urls", content=body, headers={"content-type": "application/json"})


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to rewrite, and how."""

    html: bytes
    campaign: str
    topics: Sequence[str] = ()
    recipient: str = ""
    charset: str | None = None


def rewrite(mail: Mail, *, accept: str, dry_run: bool = False) -> Call:
    """Tracks the links of a mail; `accept` is text/html, or application/json for the links too."""
    content_type = "text/html" + (f"; charset={mail.charset}" if mail.charset else "")
    params = [("campaign", mail.campaign), *(("topic", topic) for topic in mail.topics)]
    params += [("recipient", mail.recipient)] if mail.recipient else []
    params += [("dry_run", "true")] if dry_run else []
    headers = {"content-type": content_type, "accept": accept}
    return Call("POST", "/v1/rewrite", params=params, content=mail.html, headers=headers)


def report(campaign: str) -> Call:
    """What a campaign achieved."""
    return Call("GET", f"/v1/campaigns/{quote(campaign, safe='')}/report")


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
        raise error_from(response.content)
    raise _unexpected(response)


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
        return RewrittenMail(response.content, *(int(counts[name]) for name in ("tracked", "skipped", "refused")))
    except (KeyError, ValueError):
        raise _unexpected(response) from None


def url(line: str) -> RecipientURL:
    """A line of NDJSON."""
    try:
        return RecipientURL.model_validate_json(line)
    except ValidationError:
        raise UnexpectedAnswer("a line of the answer is not a recipient's URL", part=line[:100]) from None
