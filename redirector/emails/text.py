"""A mail's bytes as text in which places can be found, and those places as bytes again.

Where markup can be read without decoding (any superset of ASCII), the text has one character a byte, so that a broken
byte somewhere cannot shift or lose anything; only the values of attributes are decoded. A mail in another encoding
(UTF-16, UTF-32, ISO-2022, HZ, UTF-7) is decoded strictly, and is refused unless encoding it again gives its bytes.
"""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import turbohtml

from redirector.emails.charset import charset_of, is_ascii_superset
from redirector.errors import UnreadableMail

_REMEDY: Final = "send the mail in UTF-8, or say the charset that it is really in"


@dataclass(frozen=True, slots=True)
class MailText:
    """A mail's text; `markup` has every CR as LF, as a parser would, so that offsets hold in both."""

    mail: bytes
    codec: str
    markup: str
    decoded: str | None  # None where a character of `markup` is a byte of `mail`

    def value(self, start: int, end: int) -> tuple[str, bool]:
        """What a browser reads in an attribute's value there, and whether its bytes mean something in the encoding."""
        if self.decoded is not None:
            return resolve_references(self.decoded[start:end]), True
        raw = self.mail[start:end]
        try:
            return resolve_references(raw.decode(self.codec)), True
        except UnicodeDecodeError:
            return resolve_references(raw.decode(self.codec, "replace")), False

    def byte_spans(self, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Where these pieces of the text, in ascending order, stand in the mail's bytes."""
        return list(spans) if self.decoded is None else _encoded_spans(self.mail, self.codec, self.decoded, spans)


def read_mail(mail: bytes, charset: str | None = None) -> MailText:
    """A mail's text; `charset` is what the transport said. Raises UnreadableMail."""
    codec = charset_of(mail, charset)
    if is_ascii_superset(codec):
        return MailText(mail, codec, mail.decode("latin-1").replace("\r", "\n"), None)
    decoded = _decode(mail, codec)
    return MailText(mail, codec, decoded.replace("\r", "\n"), decoded)


def decoded(mail: bytes, *, charset: str | None = None) -> str:
    """The mail as a browser reads it, for showing: without its byte order mark, and with U+FFFD for what is broken."""
    return mail.decode(charset_of(mail, charset), "replace").removeprefix("\ufeff")


def resolve_references(value: str) -> str:
    """An attribute's raw value with its character references resolved once, by the rules for attributes."""
    if "\r" in value:
        value = value.replace("\r\n", "\n").replace("\r", "\n")
    if "&" not in value and "\0" not in value:
        return value
    # The library resolves references in attributes only while it parses one: `&copy=` stays, where text would give ©=.
    tag = turbohtml.parse_fragment('<p title="' + value.replace('"', "&quot;") + '">').select_one("p")
    return tag.attr("title", "") or "" if tag else ""


def _decode(mail: bytes, codec: str) -> str:
    try:
        decoded = mail.decode(codec)
        same = decoded.encode(codec) == mail
        decoded.encode()  # UTF-7 can smuggle in half a surrogate pair, which is no text
    except UnicodeError as error:
        raise UnreadableMail(f"the mail is not valid {codec}", field="charset", part=codec, remedy=_REMEDY) from error
    if not same:
        raise UnreadableMail(
            f"decoding the mail from {codec} and encoding it again does not give the same bytes",
            field="charset",
            part=codec,
            remedy=_REMEDY,
        )
    return decoded


def _encoded_spans(mail: bytes, codec: str, text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    encoder = codecs.getincrementalencoder(codec)()
    pieces: list[bytes] = []
    found: list[tuple[int, int]] = []
    done = written = 0
    for start, end in spans:
        # `final` makes every piece return to the initial state, so that each value can be replaced on its own.
        before, value = encoder.encode(text[done:start], True), encoder.encode(text[start:end], True)
        found.append((written + len(before), written + len(before) + len(value)))
        pieces += before, value
        done, written = end, found[-1][1]
    pieces.append(encoder.encode(text[done:], True))
    if b"".join(pieces) != mail:
        raise UnreadableMail(
            f"a link's value cannot be cut out of this {codec} text", field="charset", part=codec, remedy=_REMEDY
        )
    return found
