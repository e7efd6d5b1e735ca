"""The API as a table: one row an operation. The routes, the scopes and the OpenAPI document all follow from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import Response

from redirector.shape import Shape
from redirector.web import campaigns, links, minting, recipients, reports, rewriting
from redirector.wire import (
    CampaignIn,
    CampaignOut,
    CampaignPatch,
    ForgottenOut,
    LinkIn,
    LinkListOut,
    LinkOut,
    LinkPageOut,
    LinkPatch,
    RecipientIn,
    RecipientsIn,
    RecipientURL,
    RecordedClick,
    RecordedRequest,
    ReportOut,
    RewriteOut,
    TopicsOut,
)

Endpoint = Callable[[Request], Awaitable[Response]]

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
HTML: Final = "text/html"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or a header; a path's parameters follow from the path."""

    name: str
    description: str
    place: Literal["query", "header"] = "query"
    required: bool = False
    kind: Literal["string", "integer", "boolean", "array"] = "string"
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back with a status: shapes by media type; None stands for bytes or text of that type.

    `headers` are those of this answer alone, each with a description.
    """

    description: str
    content: tuple[tuple[str, type[Shape] | None], ...]
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of an address: who may use it, what it takes, what it answers, and with which errors it may refuse.

    `takes` are the shapes of the body, any of them, as JSON; `takes_html` says that it is a mail instead.
    """

    method: Literal["GET", "POST", "PATCH"]
    path: str
    endpoint: Endpoint
    scope: str
    summary: str
    answers: dict[int, Answer]
    refuses: tuple[int, ...]
    takes: tuple[type[Shape], ...] = ()
    takes_list: bool = False
    takes_html: bool = False
    parameters: tuple[Parameter, ...] = ()


def _one(status: int, description: str, shape: type[Shape]) -> dict[int, Answer]:
    return {status: Answer(description, ((JSON, shape),))}


BODY: Final = (400, 413, 415, 422)

OPERATIONS: Final = (
    Operation(
        "POST", "/v1/campaigns", campaigns.post_campaign, "mint", "Create a campaign",
        _one(201, "created", CampaignOut)
        | _one(200, "it was there already, and has every property as given; one left out may be any", CampaignOut),
        (*BODY, 409), takes=(CampaignIn,),
    ),
    Operation(
        "PATCH", "/v1/campaigns/{name}", campaigns.patch_campaign, "mint", "Change a campaign",
        _one(200, "changed", CampaignOut), (*BODY, 404), takes=(CampaignPatch,),
    ),
    Operation(
        "GET", "/v1/campaigns/{name}/report", reports.get_report, "read", "What a campaign achieved",
        _one(200, "the numbers at this moment", ReportOut), (404,),
    ),
    Operation(
        "POST", "/v1/links", minting.post_links, "mint", "Mint a link, or up to 1,000 in a list",
        {
            201: Answer("minted", ((JSON, LinkOut), (JSON, LinkListOut))),
            200: Answer("it was there already; of a list: all were", ((JSON, LinkOut), (JSON, LinkListOut))),
            207: Answer("of a list: some rows were refused, each with its problem", ((JSON, LinkListOut),)),
        },
        (*BODY, 409), takes=(LinkIn,), takes_list=True,
        parameters=(
            Parameter("Idempotency-Key", "makes sure that a retry is the same request", place="header"),
            Parameter(
                "check", "ask each destination, and refuse those that do not answer; 20 links at the most",
                kind="boolean",
            ),
        ),
    ),
    Operation(
        "GET", "/v1/links", links.get_links, "read", "A campaign's links, or all",
        _one(200, "a page of them, in the order of their numbers", LinkPageOut), (404, 422),
        parameters=(
            Parameter("campaign", "the campaign's name; all campaigns unless told"),
            Parameter("after", "the last number of the page before", kind="integer", most=links.MAX_LINK),
            Parameter("limit", "how many at the most; 100 unless told", kind="integer", most=1_000),
        ),
    ),
    Operation(
        "GET", "/v1/links/{id}", links.get_link, "read", "A link", _one(200, "the link", LinkOut), (404,),
    ),
    Operation(
        "PATCH", "/v1/links/{id}", links.patch_link, "mint",
        "Change a link: disable it, let it expire, lead it elsewhere",
        _one(200, "changed", LinkOut), (*BODY, 404, 409), takes=(LinkPatch,),
    ),
    Operation(
        "POST", "/v1/links/{id}/urls", links.post_urls, "mint", "Tracked URLs of a link for up to a million recipients",
        {200: Answer("a line for each recipient, in their order", ((NDJSON, RecipientURL),))},
        (*BODY, 404, 409), takes=(RecipientsIn,),
    ),
    Operation(
        "POST", "/v1/rewrite", rewriting.post_rewrite, "mint",
        "Track the links of a mail: 10,000, and 10 MiB, at the most",
        {
            200: Answer(
                "the mail; with `Accept: application/json` also its links", ((HTML, None), (JSON, RewriteOut)),
                (("Redirector-Links", "with the mail alone, counts: `tracked=3; skipped=1; refused=0; planted=0`"),),
            )
        },
        (404, 409, 413, 415, 422), takes_html=True,
        parameters=(
            Parameter("campaign", "the campaign's name", required=True),
            Parameter("topic", "topics of links that name none", kind="array"),
            Parameter("recipient", "whose mail it is, in a campaign with individual tracking"),
            Parameter("never", "URLs to leave alone, such as those of the List-Unsubscribe header", kind="array"),
            Parameter("honeypot", "plant a link to this URL that no reader can see: who follows it is a scanner"),
            Parameter("dry_run", "mint nothing; codes are placeholders", kind="boolean"),
        ),
    ),
    Operation(
        "POST", "/v1/recipients/forget", recipients.post_forget, "personal",
        "Erase every click of a recipient up to now, also those that still wait on a disk",
        _one(202, "it has begun, and is done when all that were made until now have been counted", ForgottenOut),
        BODY, takes=(RecipientIn,),
    ),
    Operation(
        "POST", "/v1/recipients/export", recipients.post_export, "personal",
        "Everything that is recorded of a recipient; clicks that wait on a disk come to it later",
        {
            200: Answer(
                "lines for what the recipient has asked for, then one for each click, and empty ones while it is "
                "looked for", ((NDJSON, RecordedRequest), (NDJSON, RecordedClick)),
            )
        },
        BODY, takes=(RecipientIn,),
    ),
    Operation(
        "GET", "/v1/topics", reports.get_topics, "read", "How much interest each topic found",
        _one(200, "every topic", TopicsOut), (),
    ),
)  # fmt: skip
