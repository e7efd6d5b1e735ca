"""The ledger: everything that is kept, field by field; why, where, when, and for how long.

It is read off the running settings. `GET /privacy` and `redirector privacy ledger` show it, and a test compares it with
what a run has really stored.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from glob import escape
from typing import Any, Final

from redirector.settings import Settings, set_aside_days


class When(StrEnum):
    """On which occasions something is kept."""

    CLICK = "click"
    UNLESS_OBJECTED = "unless_objected"
    FOR_EVERYBODY = "for_everybody"
    WITH_CONSENT = "with_consent"
    STORE_AWAY = "store_away"
    ASKED = "asked"
    SENDER = "sender"
    FAILED = "failed"
    RUNNING = "running"


OCCASIONS: Final = {
    When.CLICK: "with each click",
    When.UNLESS_OBJECTED: "with a click, but never with GPC or DNT",
    When.FOR_EVERYBODY: "with a click on a link that is the same for everybody, but never with GPC or DNT",
    When.WITH_CONSENT: "only with consent, on a link made for one reader; never with GPC or DNT",
    When.STORE_AWAY: "with a click that the store cannot take at once",
    When.ASKED: "when a reader, or the sender for them, asks for it",
    When.FAILED: "with a request that fails; never with a click, nor with GPC or DNT",
    When.SENDER: "when the sender makes or changes something",
    When.RUNNING: "while the program runs",
}

# What is kept then is about no reader.
NO_READERS: Final = frozenset({When.SENDER, When.RUNNING})

# What is never kept, as a reader would say it.
NEVER: Final = (
    "your address on the internet, with a click",
    "what your browser calls itself in full",
    "your e-mail address",
    "cookies or anything else on your device",
)


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
    """What is kept together; in words, `goes_to` says where it lies and who gets it, and `kept_for` for how long."""

    name: str
    about: str
    goes_to: str
    kept_for: str
    fields: tuple[Field, ...]


CLICKS: Final = "Click stream"

_STORE: Final = "the sender's store, and in copies of it if the sender makes any"
_MONITORING: Final = "the sender's monitoring (Prometheus)"

_MAILS: Final = "to know where mails must look right"
_CLICK: Final = (
    ("id", "a number drawn for the click", "so that no click is counted twice", When.CLICK),
    ("at", "when the click was made", "to count clicks by hour", When.CLICK),
    ("link", "the number of the link", "to count clicks by link", When.CLICK),
    ("campaign", "the mailing that the link belongs to", "to count clicks by mailing", When.CLICK),
    ("topics", "what the link is about", "to learn which topics interest readers", When.CLICK),
    ("class", "person, scanner, robot, or browser ahead of a click", "to tell people from programs", When.CLICK),
    ("rule", "the rule that decided so", "to check the decision", When.CLICK),
    ("rules", "the version of the rules", "to check the decision later", When.CLICK),
    (
        "recipient",
        "a number that stands for the reader, made with a secret key from the sender's own",
        "to link clicks to a reader who has agreed to it",
        When.WITH_CONSENT,
    ),
    (
        "visitor",
        "a number made from address and browser with a key that is thrown away after two days",
        "to count people and not clicks; the next day it is another number",
        When.FOR_EVERYBODY,
    ),
    ("client", "the name of the browser or mail program", _MAILS, When.UNLESS_OBJECTED),
    ("os", "the name of the operating system", _MAILS, When.UNLESS_OBJECTED),
    ("device", "the kind of device", _MAILS, When.UNLESS_OBJECTED),
    ("country", "the country of the address on the internet", "to know where mails are read", When.UNLESS_OBJECTED),
    ("isp", "the provider of the address on the internet", "to tell homes from data centres", When.UNLESS_OBJECTED),
    ("lang", "the first language that the browser asks for", "to know what is read", When.UNLESS_OBJECTED),
    (
        "referrer",
        "the host of the page that the link stood on, if the browser tells it",
        "to learn where else the link is shown",
        When.UNLESS_OBJECTED,
    ),
)

_REPORT: Final = "to report on a mailing"
_COUNTERS: Final = (
    ("count:classes", "clicks of each class", "to tell people from programs", When.CLICK),
    ("count:topics", "clicks of each topic and class", "to learn which topics interest readers", When.CLICK),
    ("count:links:*", "clicks of each link and class", _REPORT, When.CLICK),
    ("count:hours:*", "clicks of each hour and class", _REPORT, When.CLICK),
    (
        "count:readers:*",
        "clicks by device with system and program, by language, and by country",
        _REPORT,
        When.UNLESS_OBJECTED,
    ),
    ("unique:link:*", "about how many people clicked on a link: no list", _REPORT, When.UNLESS_OBJECTED),
    ("unique:campaign:*", "about how many people clicked in a mailing: no list", _REPORT, When.UNLESS_OBJECTED),
    ("unique:topic:*", "about how many people clicked on a topic in a month: no list", _REPORT, When.UNLESS_OBJECTED),
)

_DIAGNOSE: Final = "to find what causes errors"
_ACCESS_LOG: Final = (
    ("address", "the address of the request", _DIAGNOSE),
    ("status", "the kind of error", _DIAGNOSE),
    ("hour", "the hour of the request, or a later one of its day", _DIAGNOSE),
    ("requests", "how many requests failed in an hour", _DIAGNOSE),
)

_COPY: Final = "redirect-*/links.sqlite*"
_MAILINGS: Final = {
    "links": ("a link", "destination sent campaign topics label created_at expires_at disabled honeypot"),
    "campaigns": (
        "a mailing",
        "tracking consent sent sent_at fallback_url fallback_sent base_url created_at expires_at",
    ),
    "changes": ("what was made or changed", "link campaign"),
    "identities": ("which links are alike", ""),
    "links_of:*": ("the links of a mailing", ""),
    "honeypots_of:*": ("those of them that no reader can see", ""),
    "next_link": ("the number of the last link", ""),
    "topics": ("the topics that there are", ""),
}

_PROGRAMS: Final = {
    "api_keys": (
        "a key for a program of the sender's, as a hash",
        "name scopes hash created_at expires_at destinations",
    ),
    "api_keys_used": ("the day on which a key was last used", ""),
    "api_keys_revoked": ("which keys were revoked", ""),
    "idempotency:*": ("a request of such a program, as a hash, for a day", ""),
}

_FILES: Final = (
    ("redirect-*/spool/cursor", "up to where clicks were handed on", "so that no click is counted twice"),
    ("secret", "the secret key", "to know this installation's links"),
    ("format", "the version of the data directory", "to be upgraded"),
    ("running.json", "where the server is, and a key for the command line", "to be found"),
    ("lock", "who uses the data directory", "to be the only one"),
    ("redirect-*/*lock", "who uses the files of a process", "to be the only one"),
    ("metrics/*.db", "counts of requests and their times", "to be watched"),
    ("valkey*", "the store's own files; what left the store is out of them in a day", "to outlast a power cut"),
)


def ledger(settings: Settings) -> tuple[Place, ...]:
    """Everything that an installation with these settings keeps."""
    keys = f"{escape(settings.store_prefix)}:{{*}}:"
    return (*_of_clicks(settings, keys), *_of_readers(settings, keys), *_of_no_reader(settings, keys))


def described(places: Iterable[Place]) -> list[dict[str, Any]]:
    """The ledger for programs: a field's `when` is one of `When`, and `occasion` says it in words."""
    return [
        {**asdict(place), "fields": [{**asdict(field), "occasion": OCCASIONS[field.when]} for field in place.fields]}
        for place in places
    ]


def is_kept(when: When, *, individual: bool, objects: bool) -> bool:
    """Whether a click records a field.

    `individual`: the link was made for one reader who has agreed to it; `objects`: the browser sends GPC or DNT.
    """
    if objects:
        return when is When.CLICK
    return when in {When.CLICK, When.UNLESS_OBJECTED, When.WITH_CONSENT if individual else When.FOR_EVERYBODY}


def _of_clicks(settings: Settings, keys: str) -> Iterator[Place]:
    days = settings.stream_retention_days
    looked_up = {"country": settings.country_database, "isp": settings.isp_database}
    off = {name for name, database in looked_up.items() if not database}
    yield Place(
        CLICKS,
        "One entry a click; what reports and counters are made from.",
        f"It lies in {_STORE}, and goes to every program that the sender lets read it.",
        f"{_days(days)}, and until every program that reads it has taken it"
        if days
        else "until every program that reads it has taken it",
        tuple(Field(*each, f"{keys}clicks") for each in _CLICK if each[0] not in off),
    )
    yield Place(
        "Counters",
        "Sums and estimates, which name nobody.",
        f"They lie in {_STORE}, and go to those who may read reports; clicks of classes and topics also go to"
        f" {_MONITORING}.",
        "as long as the installation",
        tuple(Field(*each, keys + each[0]) for each in _COUNTERS),
    )
    yield Place(
        "Spool",
        "Clicks that wait on the disk of the machine that took them, with the fields of the click stream and no other.",
        "They lie on that disk, and go to the click stream and nowhere else.",
        f"until the store takes them, at most {_days(settings.spool_max_age_days)};"
        f" what is damaged, at most {_days(max(set_aside_days(settings), settings.spool_max_age_days))}",
        (
            Field("frames", "clicks", "so that no click is lost", When.STORE_AWAY, "redirect-*/spool/*.frames"),
            Field(
                "quarantine", "damaged clicks", "to be mended by hand", When.STORE_AWAY, "redirect-*/spool/quarantine/*"
            ),
        ),
    )


def _of_readers(settings: Settings, keys: str) -> Iterator[Place]:
    if settings.access_log_days:
        yield Place(
            "Access log",
            "Addresses of requests that failed, each once a day. No click is in it.",
            "They lie on the disk of the machine that was asked, for those who look after it, and are sent nowhere.",
            f"{_days(settings.access_log_days)} after its own day",
            tuple(Field(*each, When.FAILED, "redirect-*/access/*.log") for each in _ACCESS_LOG),
        )
    days = settings.privacy_opt_out_days
    yield Place(
        "Opt-outs",
        "Of whom nothing is recorded, because they asked for that. Each machine that answers readers has a copy.",
        f"They lie in {_STORE}, and on those machines; of readers with a link of their own they also go to backups.",
        f"{_days(days) if days else 'for good'}, for a reader with a link of their own; else for two days",
        tuple(_opt_outs(keys)),
    )
    what = "the number that stands for a reader or a day's browser, and when they asked"
    yield Place(
        "Erasures",
        "Whose clicks are erased up to which moment, also those that still wait on a disk.",
        f"They lie in {_STORE}, and go nowhere else.",
        "15 days, because a click may wait for nearly as long",
        (Field("erasures*", what, "to erase their clicks", When.ASKED, f"{keys}erasures*"),),
    )


def _of_no_reader(settings: Settings, keys: str) -> Iterator[Place]:
    yield Place(
        "Visitor salts",
        "The key of a day, with which the numbers of its visitors are made. Without it, nobody can make them again.",
        f"They lie in {_STORE}, and in the memory of the machines that answer readers.",
        "two days",
        (Field("salt:*", "random bytes", "to count people and not clicks", When.RUNNING, f"{keys}salt:*"),),
    )
    yield Place(
        "Mailings",
        "What the sender has made. Each machine that answers readers has a copy.",
        f"They lie in {_STORE}, and on those machines, and go to backups and to programs of the sender's.",
        "as long as the installation: mails live long",
        (
            *_records(_MAILINGS, "to answer links", keys),
            *(
                Field(name, "a copy of the same", "to answer without the store", When.SENDER, _COPY)
                for name in ("links", "campaigns", "following")
            ),
        ),
    )
    yield Place(
        "Programs of the sender's",
        "Their keys, and what was asked with them.",
        f"They lie in {_STORE}; the keys, as hashes, also go to backups.",
        "until the sender removes them",
        tuple(_records(_PROGRAMS, "to know who may mint links and read reports", keys)),
    )
    yield Place(
        "Audit",
        "Which key was used to see persons or to change the installation; that a reader asked for an erasure, not who.",
        f"It lies in {_STORE}, for those who look after it.",
        f"{_days(settings.audit_days)}, the last 100,000 uses",
        tuple(_records({"audit": ("a use", "who key action outcome of")}, "to be answerable for it", keys)),
    )
    yield Place(
        "Set aside",
        "Entries of the click stream that another program wrote there and that are no clicks, as they were.",
        f"They lie in {_STORE}, for those who look after it.",
        f"{_days(set_aside_days(settings))}, the last 10,000",
        tuple(_records({"clicks:poison": ("such an entry", "poison_id poison_reason")}, "to find its writer", keys)),
    )
    yield Place(
        "Bookkeeping",
        "What the program needs to run, and to go on where it stopped.",
        f"It lies in {_STORE}, and on the sender's machines; counts of requests also go to {_MONITORING}, the secret"
        " key to backups, unless they are made without it.",
        "as long as it is needed",
        tuple(_bookkeeping(keys)),
    )


def _records(records: dict[str, tuple[str, str]], why: str, keys: str) -> Iterator[Field]:
    """A row for each field of a record, or for the whole key where it has none."""
    for key, (what, names) in records.items():
        for name in names.split() or [key]:
            yield Field(name, what if name == key else f"{what}: {name}", why, When.SENDER, keys + key)


def _opt_outs(keys: str) -> Iterator[Field]:
    why = "to record nothing of them"
    for name, what in (
        ("opted_out", "the number that stands for a reader with a link of their own, and when they asked"),
        ("visitors_opted_out", "for two days: the day's number of an address and browser, and when they asked"),
    ):
        yield Field(name, what, why, When.ASKED, keys + name)
    yield Field("opted_out", "the same number, to tell every machine", why, When.ASKED, f"{keys}changes")
    yield Field("opted_out", "a copy of these numbers", why, When.ASKED, _COPY)


def _bookkeeping(keys: str) -> Iterator[Field]:
    again = "so that no click is counted twice"
    yield Field("recorder:*", "the last batch of clicks of a process", again, When.RUNNING, f"{keys}recorder:*")
    yield Field("counted_to:*", "up to which click all are counted", again, When.RUNNING, f"{keys}counted_to:*")
    what, why = "how clicks are judged: settings, and no click", "so that a recount can do the same"
    yield Field("judged_by:*", what, why, When.RUNNING, f"{keys}judged_by:*")
    why = "to remind the operator"
    yield Field("made_at", "when a backup was last made", why, When.RUNNING, f"{keys}last_backup")
    yield Field("links", "how many links it holds", why, When.RUNNING, f"{keys}last_backup")
    for pattern, what, why in _FILES:
        yield Field(pattern, what, why, When.RUNNING, pattern)


def _days(days: int) -> str:
    return "one day" if days == 1 else f"{days} days"
