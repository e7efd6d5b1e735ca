"""A hidden anchor in a mail: where it goes, what it is, and that nothing else changes."""

from pathlib import Path

import pytest
import turbohtml

from redirector.emails import apply, find_links, place_to_plant, planting, undo
from redirector.emails.find import FoundLink
from redirector.emails.hidden import hidden_anchor

URL = "https://news.example.com/c/abc"
ANCHOR = hidden_anchor(URL)
EMAILS = Path(__file__).parent.parent / "data" / "emails"
MAILS = [pytest.param(path, id=path.stem) for path in sorted(EMAILS.glob("*.html"))]


def planted(mail: bytes, charset: str | None = None) -> bytes | None:
    """The mail with the anchor, or None if there is no place for it."""
    place = place_to_plant(mail, charset=charset)
    return None if place is None else apply(mail, [planting(mail, place, URL, charset=charset)])


def hidden_links(mail: bytes, charset: str | None = None) -> list[FoundLink]:
    """What a later rewriting takes for planted."""
    links = find_links(mail, charset=charset, tracked_prefixes=("https://news.example.com/c/",))
    return [link for link in links if link.skip == "honeypot"]


PLACES = {
    "before the end of the body": "<html><body><p>x</p>|</body></html>",
    "in capitals": "<HTML><BODY>x|</BODY\r\n></HTML>",
    "not at one in a comment": "<body>x<!-- </body> -->|</body>",
    "not at one in a comment behind it": "<body>x|</body><!-- </body> -->",
    "not at one in a conditional": "<body>x<!--[if mso]></body><![endif]-->|</body>",
    "not at one in a style": "<body><style></body></style>|</body>",
    "not at one in a script": "<body><script>'</body>'</script>|</body>",
    "not at one in a value": "<body><p title='</body>'>|</body>",
    "not at one in a textarea": "<body><textarea></body></textarea>|</body>",
    "the end of a body that never began": "<p>x</p>|</body>",
    "the mail's end": "<p>x</p>\r\n|",
    "the mail's end, where only a conditional has one": "<body>x<!--[if mso]></body><![endif]-->|",
    "an empty mail": "|",
    "an open table": "<body><table><tr><td>x</body>|",
    "an open comment behind the body": "<body>x|</body><!-- and so on",
}


@pytest.mark.parametrize("marked", PLACES.values(), ids=PLACES.keys())
def test_anchor_goes_to_the_end_of_the_body(marked: str) -> None:
    """The place is that of the body's end as a browser sees it, or the mail's own end."""
    assert planted(marked.replace("|", "").encode()) == marked.replace("|", ANCHOR).encode()


NO_PLACES = [
    "<!-- x", "<p>x<!--[if mso]><p></body>", "<body><script>x</body>", "<style></body>", "<a href='x", "<p title=",
    "<textarea></body>", "<title></body>", "<template><p></body>", "<plaintext></body>", "<frameset></frameset></body>",
]  # fmt: skip


@pytest.mark.parametrize("mail", NO_PLACES)
def test_mail_without_a_place_gets_none(mail: str) -> None:
    """In a mail that ends within a comment, a conditional, a script, a tag and the like, nothing is planted."""
    assert planted(mail.encode()) is None


CHARSETS = [
    ("utf-8", "größer"), ("utf-16-le", "\ufeffgrößer"), ("utf-16-be", "\ufeffgrößer"), ("utf-32-le", "\ufeffgrößer"),
    ("windows-1252", "größer"), ("koi8-r", "больше"), ("shift_jis", "表ソ"), ("gb18030", "表€"), ("big5", "功許"),
    ("iso-2022-jp", "表"), ("iso-2022-jp", "漢<b>字"), ("hz-gb-2312", "表~"), ("utf-7", "größer + mehr"),
]  # fmt: skip


@pytest.mark.parametrize(("charset", "text"), CHARSETS, ids=[f"{charset} {len(text)}" for charset, text in CHARSETS])
@pytest.mark.parametrize("end", ["</body>", ""])
def test_anchor_is_in_the_mails_charset(charset: str, text: str, end: str) -> None:
    """Whatever the charset, a reader's program finds the anchor there, and the text as it was."""
    codec = {"hz-gb-2312": "hz"}.get(charset, charset)
    mail = f"<p>{text}</p>{end}".encode(codec)

    output = planted(mail, charset)

    assert output is not None
    assert output.decode(codec) == f"<p>{text}</p>{ANCHOR}{end}"
    assert [link.href for link in hidden_links(output, charset)] == [URL]


@pytest.mark.parametrize("path", MAILS)
def test_real_mails_change_by_one_splice(path: Path) -> None:
    """A real mail has the anchor before its body's end, all other bytes as they were, and the same tree around it."""
    mail = path.read_bytes()
    place = place_to_plant(mail)
    assert place is not None
    edit = planting(mail, place, URL)

    output = apply(mail, [edit])

    tree = turbohtml.parse(output.decode())
    found = tree.select(f'a[href="{URL}"]')
    assert output == mail[:place] + ANCHOR.encode() + mail[place:]
    assert mail[place:].lower().startswith(b"</body>")
    assert undo(output, [edit]) == mail
    assert len(found) == 1
    found[0].decompose()
    assert tree.serialize() == turbohtml.parse(mail.decode()).serialize()
    assert len(hidden_links(output)) == 1


def test_target_cannot_leave_its_quotes() -> None:
    """Whatever a base URL holds stays in the attribute."""
    mail = b"<body></body>"

    output = apply(mail, [planting(mail, 6, "https://x/\"><script>'&")])

    assert output.startswith(b'<body><a href="https://x/&quot;&gt;&lt;script&gt;&#39;&amp;" rel=')


CHANGED = {
    "as it is": (ANCHOR, True),
    "in another order": (ANCHOR.replace("display:none;", "").replace(':all"', ':all; DISPLAY: none"'), True),
    "with more": (ANCHOR.replace('style="', 'style="color: red; '), True),
    "without a style": (ANCHOR.replace("style", "data-style"), False),
    "shown": (ANCHOR.replace("display:none;", ""), False),
    "heard": (ANCHOR.replace("aria-hidden", "data-hidden"), False),
    "elsewhere": (ANCHOR.replace("news.example.com", "www.example.com"), False),
}  # fmt: skip


@pytest.mark.parametrize(("anchor", "is_one"), CHANGED.values(), ids=CHANGED.keys())
def test_planted_anchor_is_known_again(anchor: str, is_one: bool) -> None:
    """By its tracked URL and its hiding together, also where a tool has written its style anew."""
    assert bool(hidden_links(anchor.encode())) is is_one
