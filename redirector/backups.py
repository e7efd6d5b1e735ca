"""The format of a backup: lines of JSON, the first saying what it is, the last that nothing is missing.

A backup holds what links in mails already sent need: the secret and keys that make their codes, links, campaigns, and
the hashes of API keys; and the tokens of recipients who opted out, so that nobody is recorded again by an accident. No
clicks, no counts and nothing else about readers. It is hostile until it was read to its end.
"""

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import IO, Any, Final, Literal, get_args

from redirector.errors import InvalidBackup

FORMAT: Final = 1

MAX_LINE_BYTES: Final = 64 * 1024

Kind = Literal["campaign", "link", "api_key", "opt_out"]
_KINDS: Final = frozenset(get_args(Kind))


@dataclass(frozen=True, slots=True)
class Header:
    """Where a backup comes from. `made_at` is in Unix ms; `secret` is "" when it was left out."""

    made_at: int
    fingerprint: str
    secret: str = ""
    signing_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A campaign by its name, a link by its number, an API key by its id, an opt-out by the recipient's token."""

    kind: Kind
    name: str
    record: bytes


def none_of_each() -> dict[str, int]:
    """Nothing counted yet, by kind."""
    return dict.fromkeys(get_args(Kind), 0)


def fingerprint(secret: str) -> str:
    """What tells whether two secrets are the same, and leads to neither: 16 hexadecimal digits."""
    return blake2b(secret.encode("utf-8", "surrogatepass"), digest_size=8, person=b"fingerprint").hexdigest()


async def written(header: Header, rows: AsyncIterable[Row]) -> AsyncIterator[bytes]:
    """The lines of a backup."""
    digest, count = blake2b(digest_size=16), 0
    first = _line({"backup": FORMAT, **asdict(header)})
    digest.update(first)
    yield first
    async for row in rows:
        line = _line({"kind": row.kind, "name": row.name, "record": json.loads(row.record)})
        digest.update(line)
        count += 1
        yield line
    yield _line({"rows": count, "digest": digest.hexdigest()})


def read(file: IO[bytes], name: str) -> tuple[Header, Iterator[Row]]:
    """What a backup named `name` says of itself, and its rows; both raise InvalidBackup.

    A backup that was cut off or altered is found at its end: who must not act on half of one reads it twice.
    """
    # A line without an end may be as long as the file: it comes in pieces, and the first is no line of a backup.
    numbered = enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), 1)
    _, first = next(numbered, (0, b""))
    digest = blake2b(first, digest_size=16)
    return _header(first, name), _rows(numbered, digest, name)


def _header(line: bytes, name: str) -> Header:
    known = _object(line, 1, name)
    if known.get("backup") != FORMAT:
        newer = isinstance(known.get("backup"), int)
        raise InvalidBackup(
            "the backup was made by another version of the program" if newer else "it does not begin as a backup does",
            field=name,
            remedy="restore it with the version that made it, or a newer one" if newer else "see `redirector backup`",
        )
    match known:
        case {
            "made_at": int() as made_at,
            "fingerprint": str() as mark,
            "secret": str() as secret,
            "signing_keys": list() as keys,
        } if all(isinstance(key, str) for key in keys):
            return Header(made_at, mark, secret, tuple(keys))
    raise _broken("it does not say where it comes from", 1, name)


def _rows(numbered: Iterator[tuple[int, bytes]], digest: blake2b, name: str) -> Iterator[Row]:
    count = 0
    for number, line in numbered:
        known = _object(line, number, name)
        if "rows" in known:
            if known != {"rows": count, "digest": digest.hexdigest()}:
                raise _broken("it was altered after it was made, or a line is missing", number, name)
            if next(numbered, None) is not None:
                raise _broken("something stands behind its end", number + 1, name)
            return
        match known:
            case {"kind": str() as kind, "name": str() as row, "record": dict() as record} if kind in _KINDS:
                yield Row(kind, row, _compact(record).encode())  # type: ignore[arg-type] # one of _KINDS
            case _:
                raise _broken("the line is no campaign, link, key or opt-out", number, name)
        digest.update(line)
        count += 1
    raise _broken("it was cut off", count + 2, name)


def _object(line: bytes, number: int, name: str) -> dict[str, Any]:
    try:
        known = json.loads(line) if len(line) <= MAX_LINE_BYTES else None
    except (ValueError, RecursionError):
        raise _broken("the line is no JSON", number, name) from None
    if not isinstance(known, dict):
        raise _broken("the line is no JSON object", number, name)
    return known


def _broken(detail: str, number: int, name: str) -> InvalidBackup:
    return InvalidBackup(f"{detail}: line {number}", field=name, remedy="use an earlier backup; nothing was restored")


def _line(value: dict[str, Any]) -> bytes:
    return _compact(value).encode("utf-8", "surrogatepass") + b"\n"


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
