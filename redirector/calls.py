"""The API's calls, each with what reads its answer: described once, and sent by both clients.

A call judges what it is given before anything is sent: what is wrong raises InvalidInput.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote

import httpx
from pydantic import Field
from pydantic_core import PydanticSerializationError

from redirector.errors import InvalidInput, RedirectorError
from redirector.links import campaign_name
from redirector.replies import Arriving, ArrivingClicks, ArrivingURLs, RewrittenMail, in_shape, rewritten, rows
from redirector.shape import Shape
from redirector.wire import (
    CampaignIn,
    CampaignOut,
    CampaignPatch,
    ForgottenOut,
    LinkIn,
    LinkOut,
    LinkPageOut,
    LinkPatch,
    RecipientsIn,
    RecipientURL,
    ReportOut,
    RewriteOut,
    TopicsOut,
    parse,
    recipient_in,
)

CHECK_SECONDS: Final = 300.0
JSON: Final = {"content-type": "application/json"}

T = TypeVar("T")
Query = Sequence[tuple[str, str]]


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


Asked = tuple[Call, Callable[[httpx.Response], T]]
"""A call, and what reads its answer."""

Streamed = tuple[Call, Arriving[T]]
"""A call, and what reads its answer while it arrives."""


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


def create_campaign(name: str, **properties: Any) -> Asked[CampaignOut]:
    """The campaign; see `CampaignIn` for its properties. Raises CampaignExists if another has this name."""
    return _send("POST", "/v1/campaigns", parse(CampaignIn, {"name": name, **properties})), in_shape(CampaignOut)


def update_campaign(name: str, **changes: Any) -> Asked[CampaignOut]:
    """The campaign with its changes: `sent`, `fallback_url`, `expires_at`."""
    return _send("PATCH", _campaign_path(name), parse(CampaignPatch, changes)), in_shape(CampaignOut)


def create_link(
    destination: str,
    campaign: str,
    topics: Sequence[str] = (),
    *,
    idempotency_key: str | None = None,
    check: bool = False,
    **properties: Any,
) -> Asked[LinkOut]:
    """The link, minted now or before; `label` and `expires_at` are its other properties.

    With `check`, the server asks its destination first; raises BrokenDestination when that does not answer.
    """
    wanted = {"destination": destination, "campaign": campaign, "topics": _listed(topics), **properties}
    link = parse(LinkIn, wanted)
    key = parse(Arguments, {"idempotency_key": idempotency_key}).idempotency_key
    return _mint(_json(link), {"idempotency-key": key} if key else {}, check=check), in_shape(LinkOut)


def create_links(links: Iterable[LinkIn], *, check: bool = False) -> Asked[list[LinkOut | RedirectorError]]:
    """Each link, or what speaks against it, in their order; at most 1,000, and 20 with `check`."""
    wanted = (parse(LinkIn, link, f"/{row}") for row, link in enumerate(links))
    return _mint(b"[" + b",".join(map(_json, wanted)) + b"]", {}, check=check), rows


def _mint(body: bytes, headers: Mapping[str, str], *, check: bool) -> Call:
    headers = {**JSON, **headers}
    if not check:
        return Call("POST", "/v1/links", content=body, headers=headers)
    # The server asks their hosts politely, and takes its time.
    params = [("check", "true")]
    return Call("POST", "/v1/links", params, body, headers, timeout_seconds=CHECK_SECONDS)


def link(link_id: int) -> Asked[LinkOut]:
    """A link. Raises UnknownLink."""
    return Call("GET", _link_path(link_id)), in_shape(LinkOut)


def update_link(link_id: int, **changes: Any) -> Asked[LinkOut]:
    """The link with its changes: `disabled`, `destination`, `expires_at`."""
    return _send("PATCH", _link_path(link_id), parse(LinkPatch, changes)), in_shape(LinkOut)


def page_of_links(campaign: str | None, after: int) -> Asked[LinkPageOut]:
    """A page of a campaign's links, or of all, in the order of their numbers."""
    of = [] if campaign is None else [("campaign", parse(Arguments, {"campaign": campaign}).campaign)]
    return Call("GET", "/v1/links", params=[*of, ("after", str(after)), ("limit", "1000")]), in_shape(LinkPageOut)


def urls(link_id: int, recipients: Sequence[str]) -> Streamed[RecipientURL]:
    """A tracked URL for each recipient, as they arrive; at most a million."""
    wanted = parse(RecipientsIn, {"recipients": _listed(recipients)})
    return _send("POST", _link_path(link_id) + "/urls", wanted), ArrivingURLs(len(wanted.recipients))


def rewrite(
    mail: bytes,
    campaign: str,
    topics: Sequence[str] = (),
    *,
    recipient: str = "",
    charset: str | None = None,
    never: Sequence[str] = (),
    honeypot: str = "",
) -> Asked[RewrittenMail]:
    """The mail with its links tracked, and else byte for byte the same; links to a URL of `never` stay too.

    `honeypot` is where one more link leads, which is planted at the mail's end and which no reader can see.
    """
    how = {"recipient": recipient, "charset": charset, "never": _listed(never), "honeypot": honeypot}
    wanted = parse(Mail, {"html": mail, "campaign": campaign, "topics": _listed(topics), **how})
    return _rewrite(wanted, accept="text/html"), rewritten


def explain_rewrite(
    mail: bytes,
    campaign: str,
    topics: Sequence[str] = (),
    *,
    recipient: str = "",
    charset: str | None = None,
    never: Sequence[str] = (),
    honeypot: str = "",
    dry_run: bool = True,
) -> Asked[RewriteOut]:
    """The mail as text, and what happens to each of its links and why; a dry run mints nothing."""
    how = {"recipient": recipient, "charset": charset, "never": _listed(never), "honeypot": honeypot}
    wanted = parse(Mail, {"html": mail, "campaign": campaign, "topics": _listed(topics), **how})
    return _rewrite(wanted, accept="application/json", dry_run=dry_run), in_shape(RewriteOut)


def _rewrite(mail: Mail, *, accept: str, dry_run: bool = False) -> Call:
    content_type = "text/html" + (f"; charset={mail.charset}" if mail.charset else "")
    params = [("campaign", mail.campaign), *(("topic", topic) for topic in mail.topics)]
    params += [("recipient", mail.recipient)] if mail.recipient else []
    params += [("never", url) for url in mail.never]
    params += [("honeypot", mail.honeypot)] if mail.honeypot else []
    params += [("dry_run", "true")] if dry_run else []
    return Call("POST", "/v1/rewrite", params, mail.html, {"content-type": content_type, "accept": accept})


def forget_recipient(recipient: str) -> Asked[ForgottenOut]:
    """Has every click of a recipient up to now erased; how many that are. Needs a key with the scope `personal`."""
    return _send("POST", "/v1/recipients/forget", recipient_in({"recipient": recipient})), in_shape(ForgottenOut)


def export_recipient(recipient: str) -> Streamed[dict[str, str]]:
    """Everything that is recorded of a recipient, as it arrives. Needs the scope `personal`.

    First what they have asked for, each with its `kind` (`opt_out` or `erasure`), then click by click. Clicks that wait
    on a disk come later.
    """
    return _send("POST", "/v1/recipients/export", recipient_in({"recipient": recipient})), ArrivingClicks()


def report(campaign: str) -> Asked[ReportOut]:
    """What a campaign achieved. Raises UnknownCampaign."""
    return Call("GET", _campaign_path(campaign) + "/report"), in_shape(ReportOut)


def topics() -> Asked[TopicsOut]:
    """How much interest each topic found."""
    return Call("GET", "/v1/topics"), in_shape(TopicsOut)


def not_text() -> InvalidInput:
    """What speaks against a string with a lone surrogate, such as Python makes of a name that is not UTF-8."""
    return InvalidInput("a text has half a character, which UTF-8 cannot carry", remedy="decode it in the right way")


def _listed(values: object) -> object:
    """Any series of values as a list; a text is none, and stays what it is, to be refused."""
    return list(values) if isinstance(values, Iterable) and not isinstance(values, str | bytes) else values


def _campaign_path(name: str) -> str:
    name = parse(Arguments, {"campaign": name}).campaign
    return "/v1/campaigns/" + quote(campaign_name(name, "/campaign"), safe="")


def _link_path(link_id: int) -> str:
    return f"/v1/links/{parse(Arguments, {'link_id': link_id}).link_id}"


def _send(method: str, path: str, shape: Shape) -> Call:
    """A shape as a JSON body; only what was set goes into it."""
    return Call(method, path, content=_json(shape), headers=JSON)


def _json(shape: Shape) -> bytes:
    try:
        return shape.model_dump_json(exclude_unset=True).encode()
    except PydanticSerializationError:
        raise not_text() from None
