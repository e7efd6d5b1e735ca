"""Which encoding a mail's bytes are in: what a browser would decide, answered as the name of a Python codec.

The byte order mark decides, else what the transport said, else the mail's own `<meta>`, else whether the bytes are
UTF-8; what is left is windows-1252. A label that means nothing is as good as none.
"""

import re
from typing import Final

import turbohtml

_MARKS: Final = (
    (b"\x00\x00\xfe\xff", "utf_32_be"),
    (b"\xff\xfe\x00\x00", "utf_32_le"),
    (b"\xef\xbb\xbf", "utf_8"),
    (b"\xfe\xff", "utf_16_be"),
    (b"\xff\xfe", "utf_16_le"),
)

# In all of these, bytes below 0x30 and 0x3A-0x3F are ASCII wherever they stand: single-byte sets keep ASCII, UTF-8 and
# EUC continue with bytes from 0x80 up, and the second byte of Shift_JIS, Big5, GBK and UHC is 0x40 or more (the digits
# 0x30-0x39 in GB18030's four-byte form). So `< > = " ' & ! -` and white space are never half of another character, and
# markup can be read without decoding. (Johab is unknown here, as it is to browsers: its second byte may be 0x3C.)
# From the Encoding Standard's names to the codecs that come nearest to what it says.
_ASCII_SUPERSETS: Final = (
    {"UTF-8": "utf_8", "IBM866": "cp866", "KOI8-R": "koi8_r", "KOI8-U": "koi8_u", "ISO-8859-8-I": "iso8859_8"}
    | {f"windows-125{part}": f"cp125{part}" for part in range(9)}
    | {f"ISO-8859-{part}": f"iso8859_{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)}
    | {"windows-874": "cp874", "macintosh": "mac_roman", "x-mac-cyrillic": "mac_cyrillic"}
    | {"GBK": "gb18030", "gb18030": "gb18030", "Big5": "big5hkscs"}
    | {"EUC-JP": "euc_jp", "Shift_JIS": "cp932", "EUC-KR": "cp949"}
)
# These write everything with ASCII's bytes. The standard replaces most of them by nothing, for safety's sake; here they
# are decoded, so that `<` is not taken for markup where it is half of a character.
_SEVEN_BIT: Final = {"ISO-2022-JP": "iso2022_jp", "iso-2022-kr": "iso2022_kr", "hz-gb-2312": "hz", "utf-7": "utf_7"} | {
    f"iso-2022-jp-{part}": f"iso2022_jp_{part}" for part in ("1", "2", "3", "2004", "ext")
}
_WIDE: Final = (
    {"UTF-16LE": "utf_16_le", "UTF-16BE": "utf_16_be", "utf-32": "utf_32_le"}
    | {f"utf-{bits}-{order}": f"utf_{bits}_{order}" for bits in (16, 32) for order in ("le", "be")}
    | {f"utf-32{order}": f"utf_32_{order}" for order in ("le", "be")}
)
_CODECS: Final = _ASCII_SUPERSETS | _SEVEN_BIT | _WIDE
_SUPERSET_CODECS: Final = frozenset(_ASCII_SUPERSETS.values())
_SEVEN_BIT_CODECS: Final = frozenset(_SEVEN_BIT.values())
_WIDE_CODECS: Final = frozenset(_WIDE.values())

_META_CHARSET: Final = re.compile(r"""charset[\t\n\f\r ]*=[\t\n\f\r ]*["']?([^\t\n\f\r "';]+)""", re.IGNORECASE)
_META_WITHIN_BYTES: Final = 1024


def charset_of(mail: bytes, said: str | None = None) -> str:
    """The codec of a mail's encoding; `said` is the charset of its Content-Type, if there was one."""
    return _from_mark(mail) or _from_transport(mail, said) or _from_meta(mail) or _from_bytes(mail)


def is_ascii_superset(codec: str) -> bool:
    """Whether markup in this encoding can be read byte for byte, as if each byte were a character."""
    return codec in _SUPERSET_CODECS


def is_seven_bit(codec: str) -> bool:
    """Whether this encoding writes everything with ASCII's bytes, by shifting between states."""
    return codec in _SEVEN_BIT_CODECS


def codec_of(label: str) -> str | None:
    """The codec that a charset label stands for, or None for one that is unknown or unfit for mail.

    The parser knows the Encoding Standard's labels; Python's `codecs.lookup` knows other meanings, and would import
    modules and fill a cache on a stranger's word.
    """
    label = label.strip("\t\n\f\r \"'")
    try:
        name = turbohtml.parse(b"", encoding=label).encoding
    except (LookupError, UnicodeError):
        name = None
    return _CODECS.get(name or "") or _CODECS.get(label.lower())


def _from_mark(mail: bytes) -> str | None:
    return next((codec for mark, codec in _MARKS if mail.startswith(mark)), None)


def _from_transport(mail: bytes, said: str | None) -> str | None:
    codec = codec_of(said) if said else None
    # A tag in UTF-16 or UTF-32 has zero bytes. Without one the label is wrong, or there are no links to find.
    return None if codec in _WIDE_CODECS and b"\0" not in mail else codec


def _from_meta(mail: bytes) -> str | None:
    for meta in turbohtml.parse(mail[:_META_WITHIN_BYTES].decode("latin-1")).select("meta"):
        label = meta.attr("charset") or ""
        if match := _META_CHARSET.search(meta.attr("content") or "") if meta.attr("http-equiv") else None:
            label = label or match[1]
        if codec := codec_of(label):
            # Whoever reads this in ASCII is not reading UTF-16; the Encoding Standard takes it as UTF-8 too.
            return "utf_8" if codec in _WIDE_CODECS else codec
    return None


def _from_bytes(mail: bytes) -> str:
    try:
        mail.decode("utf_8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf_8"
