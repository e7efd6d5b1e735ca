"""How a mail's encoding is decided, and what that means for its links."""

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE

import pytest

from redirector.emails import decoded, find_links
from redirector.emails.charset import charset_of, codec_of, is_ascii_superset
from redirector.errors import UnreadableMail

from .reading import hrefs, only_link, rewritten, values

MARKUP = '<p>Grüße</p><a href="https://x/?a=1&amp;b=ü">ß</a><!--[if mso]><a href=https://x/2><![endif]-->'


@pytest.mark.parametrize(
    ("mail", "said", "codec"),
    [
        pytest.param(BOM_UTF8 + b"<meta charset=koi8-r>", "koi8-r", "utf_8", id="utf-8-mark"),
        pytest.param(BOM_UTF16_LE + b"x\0", "utf-8", "utf_16_le", id="utf-16-mark"),
        pytest.param(BOM_UTF16_BE + b"\0x", "utf-16-le", "utf_16_be", id="utf-16-be-mark"),
        pytest.param(BOM_UTF32_LE + b"x\0\0\0", None, "utf_32_le", id="utf-32-mark"),
        pytest.param(BOM_UTF32_BE + b"\0\0\0x", None, "utf_32_be", id="utf-32-be-mark"),
        pytest.param(b"<meta charset=koi8-r>", "Shift_JIS", "cp932", id="transport"),
        pytest.param(b"<meta charset=koi8-r>", "no-such", "koi8_r", id="rubbish-falls-through"),
        pytest.param(b"<meta charset=koi8-r>", "\0\udc80é" * 99, "koi8_r", id="rubbish-bytes"),
        pytest.param(b"<meta charset=koi8-r>", "", "koi8_r", id="empty"),
        pytest.param(b"<meta charset=koi8-r>", "utf-16", "koi8_r", id="utf-16-without-a-zero"),
        pytest.param(b"<\0a\0>\0", "utf-16", "utf_16_le", id="utf-16-little-endian-by-default"),
        pytest.param(b"\0<\0a\0>", "UTF-16BE", "utf_16_be", id="utf-16-be"),
        pytest.param(b"<META CHARSET=' KOI8-R '>", None, "koi8_r", id="meta"),
        pytest.param(
            b"<meta http-equiv=Content-Type content=\"text/html; Charset = 'iso-8859-2'\">",
            None,
            "iso8859_2",
            id="meta-http-equiv",
        ),
        pytest.param(b"<meta name=x content='charset=koi8-r'>\xff", None, "cp1252", id="meta-of-something-else"),
        pytest.param(b"<meta http-equiv=refresh content=5>\xff", None, "cp1252", id="http-equiv-without-charset"),
        pytest.param(b"<meta charset=nope><meta charset=koi8-r>", None, "koi8_r", id="first-known-meta"),
        pytest.param(b"<!--<meta charset=koi8-r>-->", None, "utf_8", id="meta-in-a-comment"),
        pytest.param(b" " * 1024 + b"<meta charset=koi8-r>", None, "utf_8", id="meta-too-late"),
        pytest.param(b"<meta charset=utf-16>\xff\0", None, "utf_8", id="meta-cannot-be-utf-16"),
        pytest.param("é".encode(), None, "utf_8", id="valid-utf-8"),
        pytest.param(b"\xe9", None, "cp1252", id="neither"),
        pytest.param(b"", None, "utf_8", id="empty-mail"),
    ],
)
def test_the_encoding_is_what_a_browser_would_decide(mail: bytes, said: str | None, codec: str) -> None:
    """Mark, transport, meta, the bytes themselves: in this order, and rubbish counts as nothing."""
    assert charset_of(mail, said) == codec


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("UTF-8", "utf_8"),
        ("utf8", "utf_8"),
        ('"utf-8"', "utf_8"),
        ("unicode-1-1-utf-8", "utf_8"),
        ("us-ascii", "cp1252"),
        ("ISO-8859-1", "cp1252"),
        ("latin1", "cp1252"),
        ("windows-1252", "cp1252"),
        ("x-cp1251", "cp1251"),
        ("iso-8859-9", "cp1254"),
        ("iso-8859-11", "cp874"),
        ("windows-874", "cp874"),
        ("iso-8859-8-i", "iso8859_8"),
        ("iso-8859-15", "iso8859_15"),
        ("koi8-u", "koi8_u"),
        ("macintosh", "mac_roman"),
        ("x-mac-cyrillic", "mac_cyrillic"),
        ("gb2312", "gb18030"),
        ("GBK", "gb18030"),
        ("x-gbk", "gb18030"),
        ("big5", "big5hkscs"),
        ("Shift_JIS", "cp932"),
        ("x-sjis", "cp932"),
        ("windows-31j", "cp932"),
        ("x-mac-ukrainian", "mac_cyrillic"),
        ("csISO88598I", "iso8859_8"),
        ("unicode", "utf_16_le"),
        ("unicodefffe", "utf_16_be"),
        ("utf-32be", "utf_32_be"),
        ("iso-2022-kr", "iso2022_kr"),
        ("iso-2022-jp-2", "iso2022_jp_2"),
        ("iso-2022-cn", None),
        ("x-user-defined", None),
        ("\udc80", None),
        ("EUC-JP", "euc_jp"),
        ("euc-kr", "cp949"),
        ("ks_c_5601-1987", "cp949"),
        ("iso-2022-jp", "iso2022_jp"),
        ("utf-7", "utf_7"),
        ("hz-gb-2312", "hz"),
        ("utf-32", "utf_32_le"),
        ("cp037", None),  # EBCDIC
        ("johab", None),  # a second byte may be `<`
        ("rot13", None),
        ("base64", None),
        ("idna", None),
        ("unicode_escape", None),
        ("undefined", None),
        ("", None),
        ("../../etc", None),
    ],
)
def test_labels_mean_what_they_mean_to_browsers(label: str, codec: str | None) -> None:
    """The Encoding Standard's reading of a label; what is no text, or no superset of ASCII, is unknown."""
    assert codec_of(label) == codec


@pytest.mark.parametrize("charset", ["gb18030", "big5", "shift_jis", "euc-jp", "euc-kr", "koi8-r", "windows-1252"])
def test_syntax_is_never_half_of_a_character(charset: str) -> None:
    """Decoding bytes as text keeps every character of HTML's syntax where it was: that makes the byte view safe."""
    codec = codec_of(charset) or ""
    syntax = "<>=\"'&!-/ \t\n\f\r"

    for lead in range(0x80, 0x100):
        for mark in syntax.encode():
            decoded = bytes([lead, mark]).decode(codec, "replace")
            assert decoded[-1] == chr(mark) or "\ufffd" in decoded
    assert is_ascii_superset(codec)


@pytest.mark.parametrize(
    "charset",
    ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-7", "windows-1252", "iso-8859-15", "gb18030", "utf-8"],
)
def test_places_are_byte_offsets_in_every_encoding(charset: str) -> None:
    """Whatever a character takes, the span is that of the value's bytes."""
    markup = MARKUP if charset != "utf-7" else MARKUP.replace("ü", "ü;")
    mail = markup.encode(charset)

    assert [value.decode(charset) for value in values(mail, charset=charset)] == [
        markup.split('"')[1],
        "https://x/2",
    ]


@pytest.mark.parametrize(
    ("mark", "charset"),
    [
        pytest.param(BOM_UTF8, "utf-8", id="utf-8"),
        pytest.param(BOM_UTF16_LE, "utf-16-le", id="utf-16-le"),
        pytest.param(BOM_UTF16_BE, "utf-16-be", id="utf-16-be"),
        pytest.param(BOM_UTF32_LE, "utf-32-le", id="utf-32-le"),
        pytest.param(BOM_UTF32_BE, "utf-32-be", id="utf-32-be"),
    ],
)
@pytest.mark.parametrize("quote", ['"', "'", ""])
def test_a_mail_with_a_mark_is_rewritten_in_its_encoding(mark: bytes, charset: str, quote: str) -> None:
    """The target is written in the mail's encoding, and nothing else changes, the mark included."""
    markup = f"<p>Grüße\r\n😀</p><a href={quote}https://x/?a={quote} class=b>ß</a>"

    mail = rewritten(mark + markup.encode(charset), "https://é/?a&b")

    written = "https://é/?a&amp;b"
    assert mail == mark + markup.replace("https://x/?a=", written).encode(charset)


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        pytest.param("iso-2022-jp", "日本語", id="iso-2022-jp"),
        pytest.param("hz-gb-2312", "中文~", id="hz"),
        pytest.param("utf-7", "日本語+~", id="utf-7"),
    ],
)
def test_a_shifting_encoding_is_rewritten(charset: str, text: str) -> None:
    """Links are replaced between shifted text, and what was around them still reads the same."""
    markup = f'<p>{text}</p><a href="https://x/{text}.">{text}</a><a href="https://x/">'

    mail = rewritten(markup.encode(charset), "https://y/é~+", charset=charset)

    assert mail.decode(charset) == markup.replace(f"https://x/{text}.", "https://x/").replace(
        "https://x/", "https://y/&#233;~+"
    )


def test_a_link_that_ends_shifted_is_replaced_with_its_shift() -> None:
    """In ISO-2022-JP the return to ASCII belongs to the value that made it necessary."""
    markup = '<a href="https://x/日本">日本</a>'

    mail = rewritten(markup.encode("iso-2022-jp"), "https://y/", charset="iso-2022-jp")

    assert mail == markup.replace("https://x/日本", "https://y/").encode("iso-2022-jp")


@pytest.mark.parametrize(
    ("mail", "charset"),
    [
        pytest.param(BOM_UTF16_LE + b"<\0a\0>", None, id="utf-16-odd-length"),
        pytest.param(BOM_UTF16_LE + b"\x00\xd8<\0", None, id="utf-16-lone-surrogate"),
        pytest.param(BOM_UTF32_BE + b"\xff\xff\xff\xff", None, id="utf-32-out-of-range"),
        pytest.param(b"\xff", "utf-7", id="utf-7-eighth-bit"),
        pytest.param(b"+ADw-a href=x+AD4-", "utf-7", id="utf-7-markup-in-disguise"),
        pytest.param(b"+2AA-", "utf-7", id="utf-7-lone-surrogate"),
        pytest.param(b"\x1b$B", "iso-2022-jp", id="iso-2022-jp-unfinished"),
        pytest.param(b"\x1b(J<a href=x>\x1b(B", "iso-2022-jp", id="iso-2022-jp-other-ascii"),
        pytest.param(b"~", "hz-gb-2312", id="hz"),
        pytest.param("<a href='https://x/é'>".encode("utf-7").replace(b"-'", b"'"), "utf-7", id="utf-7-uncuttable"),
    ],
)
def test_what_could_not_be_put_back_byte_for_byte_is_refused(mail: bytes, charset: str | None) -> None:
    """A mail is not touched unless decoding and encoding it again gives the same bytes; the error says so."""
    with pytest.raises(UnreadableMail) as refused:
        find_links(mail, charset=charset)

    assert refused.value.field == "charset"
    assert refused.value.part
    assert refused.value.remedy


def test_trail_bytes_that_look_like_ascii_are_left_alone() -> None:
    """Shift_JIS writes 表 with a backslash and ソ too; a link with them is found, read and replaced whole."""
    mail = '<a title="表ソ能" href="https://x/表\\ソ?能=1">ソ</a>'.encode("cp932")

    assert hrefs(mail, charset="Shift_JIS") == ["https://x/表\\ソ?能=1"]
    assert rewritten(mail, "https://y/表é", charset="Shift_JIS") == (
        '<a title="表ソ能" href="https://y/表&#233;">ソ</a>'.encode("cp932")
    )


def test_half_a_character_does_not_swallow_the_quote() -> None:
    """A lead byte without its second one ends at the quote, as in browsers, and spoils this one link only."""
    mail = b'<a href="https://x/\x83">1</a><a href="https://y/">2</a>'

    assert [link.skip for link in find_links(mail, charset="Shift_JIS")] == ["undecodable", None]
    assert values(mail, charset="Shift_JIS") == [b"https://x/\x83", b"https://y/"]


def test_broken_bytes_elsewhere_never_matter() -> None:
    """A mail that says UTF-8 and is not is rewritten all the same, its broken bytes untouched."""
    mail = b'\xe9\xff<a href="https://x/">\xc3</a>\x80'

    assert rewritten(mail, "https://y/", charset="utf-8") == b'\xe9\xff<a href="https://y/">\xc3</a>\x80'


def test_query_characters_stay_unicode() -> None:
    """The query of a link in a windows-1252 mail keeps its characters, rather than that charset's bytes."""
    assert only_link(b"<a href='https://x/?q=\xe9\x80'>", charset="iso-8859-1").href == "https://x/?q=é€"


@pytest.mark.parametrize(
    ("mail", "charset", "text"),
    [
        pytest.param("é".encode(), None, "é", id="utf-8"),
        pytest.param(BOM_UTF8 + "é".encode(), "latin-1", "é", id="mark"),
        pytest.param("é".encode("utf-16"), None, "é", id="utf-16"),
        pytest.param(b"\xe9\r\n", "iso-8859-1", "é\r\n", id="latin-1"),
        pytest.param(b"\xe9", "utf-8", "\ufffd", id="broken"),
    ],
)
def test_a_mail_can_be_shown_as_text(mail: bytes, charset: str | None, text: str) -> None:
    """Decoded as its links are; what is broken is replaced rather than refused, for it is only shown."""
    assert decoded(mail, charset=charset) == text
