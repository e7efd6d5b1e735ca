"""What a browser would follow, and which topics a link has."""

import pytest

from .reading import only_link


@pytest.mark.parametrize(
    ("value", "href"),
    [
        pytest.param(b"https://x/?a=1&amp;b=2", "https://x/?a=1&b=2", id="named"),
        pytest.param(b"https://x/?a&amp;amp;b", "https://x/?a&amp;b", id="once-only"),
        pytest.param(b"https://x/?a=1&b=2", "https://x/?a=1&b=2", id="bare-ampersand"),
        pytest.param(b"https://x/d&eacute;mo", "https://x/d\xe9mo", id="latin"),
        pytest.param(b"https://x/&#233;&#xE9;&#XE9", "https://x/\xe9\xe9\xe9", id="numeric"),
        pytest.param(b"https://x/?a&copy=1", "https://x/?a&copy=1", id="legacy-before-equals"),
        pytest.param(b"https://x/?a&copy1", "https://x/?a&copy1", id="legacy-before-digit"),
        pytest.param(b"https://x/?a&copy", "https://x/?a\xa9", id="legacy-at-the-end"),
        pytest.param(b"https://x/?a&copy/", "https://x/?a\xa9/", id="legacy-before-slash"),
        pytest.param(b"https://x/?a&copy;=1", "https://x/?a\xa9=1", id="with-semicolon"),
        pytest.param(b"https://x/?a&ampb=1&amp;c", "https://x/?a&ampb=1&c", id="legacy-before-letter"),
        pytest.param(b"https://x/?&nosuch;", "https://x/?&nosuch;", id="unknown"),
        pytest.param(b"https://x/&#x80;", "https://x/\u20ac", id="windows-1252-number"),
        pytest.param(b"https://x/&#0;&#xD800;&#x110000;", "https://x/\ufffd\ufffd\ufffd", id="not-a-character"),
        pytest.param(b"https://x/\x00", "https://x/\ufffd", id="nul"),
        pytest.param(b"  https://x/ \r\n", "https://x/", id="padded"),
        pytest.param(b"\x01\x1f https://x/\x1e", "https://x/", id="controls-around"),
        pytest.param(b"https://x/a\r\n  b\tc\rd\ne", "https://x/a  bcde", id="broken-over-lines"),
        pytest.param(b"https://x/a&#10;b&Tab;&#32;", "https://x/ab", id="line-break-as-reference"),
        pytest.param(b"https://x/a b\x0cc\x1f.", "https://x/a b\x0cc\x1f.", id="inner-space-stays"),
        pytest.param(b"\xc2\xa0https://x/", "\xa0https://x/", id="no-break-space-stays"),
        pytest.param(b"https://x/?q=%C3%A9%zz", "https://x/?q=%C3%A9%zz", id="escapes-stay"),
        pytest.param("https://x/ünï".encode(), "https://x/ünï", id="utf-8"),
    ],
)
def test_href_is_what_a_browser_would_follow(value: bytes, href: str) -> None:
    """References are resolved once by the rules for attributes; the URL is trimmed and freed of line breaks."""
    assert only_link(b'<a href="' + value + b'">').href == href


def test_quotes_beside_references_are_kept() -> None:
    """A value in single quotes or none may contain double quotes, whatever else is in it."""
    assert only_link(b'<a href=\'https://x/?"a"&amp;b&copy"\'>').href == 'https://x/?"a"&b\xa9"'


@pytest.mark.parametrize(
    ("attributes", "topics"),
    [
        pytest.param('data-topic="billing"', ("billing",), id="one"),
        pytest.param('data-topic=" b , a ,, b,A"', ("b", "a", "A"), id="several"),
        pytest.param("DATA-TOPIC=solar", ("solar",), id="unquoted"),
        pytest.param("data-topic='a&amp;b'", ("a&b",), id="reference"),
        pytest.param('data-topic="énergie"', ("énergie",), id="not-ascii"),
        pytest.param('ses:tags="topic:solar;placement:button"', ("solar",), id="ses"),
        pytest.param(
            'ses:tags="placement:button; topic : b ;topic:a:c;topic:b;topic;topics:x;topic:"',
            ("b", "a:c"),
            id="ses-several",
        ),
        pytest.param('ses:tags="topic:x" data-topic="y"', ("y",), id="both"),
        pytest.param('ses:tags="topic:x" data-topic=" , "', ("x",), id="first-is-empty"),
        pytest.param("data-topic ses:tags", (), id="no-values"),
        pytest.param("", (), id="none"),
        pytest.param('data-topics="x" topic="y"', (), id="other-attributes"),
    ],
)
def test_topics_are_those_that_the_author_wrote(attributes: str, topics: tuple[str, ...]) -> None:
    """data-topic says a link's topics, or else the topic tags of ses:tags; raw, in order, each once."""
    assert only_link(f"<a href=https://x/ {attributes}>".encode()).topics == topics


def test_topics_are_read_inside_conditional_comments() -> None:
    """The places of attributes hold there too."""
    assert only_link(b"<p>..<!--[if mso]>..<v:rect data-topic=solar href=https://x/><![endif]-->").topics == ("solar",)


def test_topics_are_decoded_as_the_mail_is() -> None:
    """A topic in the mail's charset comes out as Unicode; broken bytes are replaced, not fatal."""
    assert only_link(b"<a href=https://x/ data-topic='\xe9'>", charset="latin-1").topics == ("é",)
    assert only_link(b"<a href=https://x/ data-topic='\xe9'>", charset="utf-8").topics == ("\ufffd",)
