"""The ledger: everything that is kept, field by field; why, where, when, and for how long.

It is read off the running settings. `GET /privacy` and `redirector privacy ledger` show it, and a test compares it with
what a run has really stored.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from glob import escape
from typing import Any, Final

from redirector.settings import Settings


class When(StrEnum):
    """On which occasions a field is kept. Of a reader who has opted out nothing of a click is kept at all."""

    CLICK = "click"
    UNLESS_OBJECTED = "unless_objected"
    FOR_EVERYBODY = "for_everybody"
    WITH_CONSENT = "with_consent"
    ASKED = "asked"
    STORE_AWAY = "store_away"
    MAILING = "mailing"
    RUNNING = "running"


SENTENCES: Final = {
    When.CLICK: "with each click",
    When.UNLESS_OBJECTED: "with a click, but never with GPC or DNT",
    When.FOR_EVERYBODY: "with a click on a link that is the same for everybody, but never with GPC or DNT",
    When.WITH_CONSENT: "only with consent, on a link made for one reader; never with GPC or DNT",
    When.ASKED: "when a reader, or the sender for them, asks for it",
    When.STORE_AWAY: "with a click that the store cannot take at once",
    When.MAILING: "when a mailing is made; nothing about readers",
    When.RUNNING: "while the program runs; nothing about readers",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that is kept. `lies_in` is a pattern of the store's keys, or of files in the data directory."""

    name: str
    what: str
    why: str
    when: When
    lies_in: str


@dataclass(frozen=True, slots=True)
class Place:
    """What is kept together. `kept_for` is a sentence's end: "30 days"."""

    name: str
    about: str
    kept_for: str
    fields: tuple[Field, ...]


CLICK_STREAM: Final = "Click stream"

# What is never kept anywhere, as readers would say it.
NEVER: Final = (
    "your address on the internet, with a click",
    "what your browser calls itself in full",
    "your e-mail address",
    "cookies or anything else on your device",
)

_CLICK: Final = (
    ("id", "a number drawn for the click", "so that no click is counted twice", When.CLICK),
    ("at", "when the click was made", "to count clicks by hour", When.CLICK),
    ("link", "the number of the link", "to count clicks by link", When.CLICK),
    ("campaign", "the mailing that the link belongs to", "to count clicks by mailing", When.CLICK),
    ("topics", "what the link is about", "to learn which topics interest readers", When.CLICK),
    ("class", "person, scanner, robot or browser ahead of a click", "to tell people from programs", When.CLICK),
    ("rule", "the rule that decided so", "to check the decision", When.CLICK),
    ("rules", "the version of the rules", "to check the decision later", When.CLICK),
    (
        "recipient", "a number that stands for the reader, made with a secret key from the sender's own",
        "to link clicks to a reader who has agreed to it", When.WITH_CONSENT,
    ),
    (
        "visitor", "a number made from address and browser with a key that is thrown away after two days",
        "to count people and not clicks; the next day it is another number", When.FOR_EVERYBODY,
    ),
    ("client", "the name of the browser or mail program", "to know where mails must look right", When.UNLESS_OBJECTED),
    ("os", "the name of the operating system", "to know where mails must look right", When.UNLESS_OBJECTED),
    ("device", "the kind of device", "to know where mails must look right", When.UNLESS_OBJECTED),
    ("lang", "the first language that the browser asks for", "to know which languages are read", When.UNLESS_OBJECTED),
    ("country", "the country of your internet address", "to know where mails are read", When.UNLESS_OBJECTED),
    ("isp", "the provider of your internet address", "to tell homes from data centres", When.UNLESS_OBJECTED),
    (
        "referrer", "the host of the page that the link stood on, if the browser tells it",
        "to learn where else the link is shown", When.UNLESS_OBJECTED,
    ),
)  # fmt: skip

_COUNTERS: Final = (
    ("count:classes", "clicks of each class", "to tell people from programs"),
    ("count:topics", "clicks of each topic and class", "to learn which topics interest readers"),
    ("count:links:*", "clicks of each link and class", "to report on a mailing"),
    ("count:hours:*", "clicks of each hour and class", "to report on a mailing"),
    ("count:readers:*", "clicks by browser, system, device, language and country", "to report on a mailing"),
    ("unique:link:*", "about how many people clicked on a link: an estimate, no list", "to report on a mailing"),
    ("unique:campaign:*", "about how many people clicked in a mailing: an estimate, no list", "to report on a mailing"),
    ("unique:topic:*", "about how many people clicked on a topic in a month: an estimate", "to compare topics"),
    ("counted_to:*", "up to which click all are counted", "so that no click is counted twice"),
)

_LINKS: Final = (
    ("links", ("destination", "sent", "campaign", "topics", "label", "created_at", "expires_at", "disabled"),
     "a link: where it leads, and what it is about"),
    ("campaigns", ("tracking", "consent", "sent", "fallback_url", "fallback_sent", "created_at", "expires_at"),
     "a mailing: its kind, how many were sent, and where consent is recorded"),
    ("api_keys", ("name", "scopes", "hash", "created_at"), "a key of the sender's programs: its name and a hash of it"),
    ("changes", ("kind", "name"), "which link or mailing was made or changed"),
    ("last_backup", ("links", "made_at"), "when a backup was last made"),
)  # fmt: skip

_NAMES: Final = (
    ("identities", "which links are alike"),
    ("links_of:*", "the links of a mailing"),
    ("next_link", "the number of the last link"),
    ("topics", "the topics that there are"),
    ("idempotency:*", "for a day: a request of the sender's programs, as a hash, to answer it once"),
)


def ledger(settings: Settings) -> tuple[Place, ...]:
    """Everything that an installation with these settings keeps."""
    return tuple(_places(settings))


def described(places: tuple[Place, ...]) -> list[dict[str, Any]]:
    """The ledger for programs; a field's `when` is one of `When`, and `occasion` says it in words."""
    return [
        {**asdict(place), "fields": [{**asdict(field), "occasion": SENTENCES[field.when]} for field in place.fields]}
        for place in places
    ]


def is_kept(when: When, *, individual: bool, objects: bool) -> bool:
    """Whether a click records a field.

    `individual`: the link was made for one reader who has agreed; `objects`: the browser sends GPC or DNT.
    """
    return (
        when is When.CLICK
        or (when is When.UNLESS_OBJECTED and not objects)
        or (when is When.FOR_EVERYBODY and not objects and not individual)
        or (when is When.WITH_CONSENT and not objects and individual)
    )


def click_fields(places: tuple[Place, ...]) -> tuple[Field, ...]:
    """The fields of a click."""
    return next(place.fields for place in places if place.name == CLICK_STREAM)


def _places(settings: Settings) -> Iterator[Place]:
    prefix = escape(settings.store_prefix)
    shard, catalog = f"{prefix}:{{*}}:", f"{prefix}:{{catalog}}:"
    looked_up = {"country": settings.country_database, "isp": settings.isp_database}
    off = {name for name, database in looked_up.items() if not database}
    stream = (
        _days(settings.stream_retention_days) if settings.stream_retention_days else "until every reader of it has it"
    )
    yield Place(
        CLICK_STREAM,
        "One entry a click; what reports and counters are made from.",
        stream,
        tuple(Field(*each, f"{shard}clicks") for each in _CLICK if each[0] not in off),
    )
    yield Place(
        "Counters",
        "Sums and estimates, from which no reader can be read.",
        "as long as the installation",
        tuple(Field(name, what, why, When.CLICK, shard + name) for name, what, why in _COUNTERS),
    )
    yield Place(
        "Visitor salts",
        "The key of a day, with which the numbers of its visitors are made. Without it, nobody can make them again.",
        "two days",
        (Field("salt:*", "random bytes", "to count people and not clicks", When.RUNNING, f"{shard}salt:*"),),
    )
    days = settings.privacy_opt_out_days
    yield Place(
        "Opt-outs",
        "Of whom nothing is recorded, because they asked for that. Machines that answer readers have a copy.",
        f"{_days(days)} for a reader with a link of their own" if days else "for good",
        tuple(_opt_outs(catalog)),
    )
    spool = "redirect-*/spool"
    yield Place(
        "Spool",
        "Clicks that wait on the disk of the machine that took them, with the fields of the click stream and no other.",
        f"until the store takes them, at most {_days(settings.spool_max_age_days)}; what is damaged, until seen to",
        (
            Field("*.frames", "clicks", "so that no click is lost", When.STORE_AWAY, f"{spool}/*.frames"),
            Field("quarantine", "damaged clicks", "to mend them by hand", When.STORE_AWAY, f"{spool}/quarantine/*"),
        ),
    )
    yield Place(
        "Entries set aside",
        "Entries of the click stream that another program wrote there and that are no clicks, with the reason.",
        "the last 10,000 of them",
        (
            Field("poison_id", "which entry it was", "to find its writer", When.RUNNING, f"{shard}clicks:poison"),
            Field("poison_reason", "what was wrong", "to mend its writer", When.RUNNING, f"{shard}clicks:poison"),
        ),
    )
    yield Place(
        "Mailings",
        "What the sender has made: links, mailings and keys for programs. Machines that answer readers have a copy.",
        "as long as the installation, because mails live long",
        tuple(_mailings(catalog)),
    )
    yield Place(
        "Bookkeeping",
        "What the program needs to go on where it stopped.",
        "as long as the installation; numbers of batches for two weeks",
        tuple(_bookkeeping(shard)),
    )


def _mailings(catalog: str) -> Iterator[Field]:
    why = "to answer links"
    for key, names, what in _LINKS:
        yield from (Field(name, what, why, When.MAILING, catalog + key) for name in names)
    yield from (Field(name, what, why, When.MAILING, catalog + name) for name, what in _NAMES)
    for table, what in (
        ("links", "a copy of each link"),
        ("campaigns", "a copy of each mailing"),
        ("following", "up to which change the copy is made"),
    ):
        yield Field(table, what, "to answer while the store is away", When.MAILING, "redirect-*/links.sqlite")


def _opt_outs(catalog: str) -> Iterator[Field]:
    why = "to record nothing of them"
    for key, what in (
        ("opted_out", "the number that stands for a reader with a link of their own, and when they asked"),
        ("visitors_opted_out", "for two days: the day's number of an address and browser, and when they asked"),
        ("changes", "the same number, to tell every machine that answers readers"),
    ):
        yield Field(key, what, why, When.ASKED, catalog + key)
    yield Field("opted_out", "a copy of these numbers", why, When.ASKED, "redirect-*/links.sqlite")


def _bookkeeping(shard: str) -> Iterator[Field]:
    again = "so that no click is counted twice"
    yield Field("recorder:*", "the last batch of a process", again, When.RUNNING, f"{shard}recorder:*")
    yield Field("cursor", "up to where the spool is sent", again, When.RUNNING, "redirect-*/spool/cursor")
    for name, what in (
        ("secret", "the installation's secret key"),
        ("format", "the version of this directory"),
        ("running.json", "where the server is, and a key for the command line"),
        ("lock", "who uses this directory"),
        ("redirect-*/*lock", "who uses a process's files"),
        ("metrics/*.db", "counts of requests, for monitoring"),
        ("valkey*", "the store's own files: what is listed here as kept in the store"),
    ):
        yield Field(name, what, "to run", When.RUNNING, name)


def _days(days: int) -> str:
    return "one day" if days == 1 else f"{days} days"
