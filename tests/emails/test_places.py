"""Which values are a mail's links, and where they stand."""

import pytest

from redirector.emails import find_links
from redirector.emails.locate import value_span

from .reading import hrefs, only_link, values


@pytest.mark.parametrize(
    ("mail", "element"),
    [
        pytest.param(b"<a href='x:'>", "a", id="a"),
        pytest.param(b"<A HREF='x:'>", "a", id="upper-case"),
        pytest.param(b"<map><area href='x:'></map>", "area", id="area"),
        pytest.param(b"<v:roundrect href='x:'/>", "v:roundrect", id="vml"),
        pytest.param(b"<V:Rect HREF='x:'>", "v:rect", id="vml-upper-case"),
        pytest.param(b"<svg><a href='x:'></a></svg>", "a", id="svg"),
        pytest.param(b"<noscript><a href='x:'></noscript>", "a", id="noscript"),
        pytest.param(b"<head><noscript><a href='x:'></noscript></head>", "a", id="noscript-in-head"),
        pytest.param(b"<select><a href='x:'></a></select>", "a", id="select"),
        pytest.param(b"<table><a href='x:'><tr><td>", "a", id="foster-parented"),
        pytest.param(b"</body></html><a href='x:'>", "a", id="after-the-end"),
        pytest.param(b"<pre>\r\n<a href='x:'></pre>", "a", id="pre"),
    ],
)
def test_a_link_is_found_wherever_a_mail_client_shows_it(mail: bytes, element: str) -> None:
    """The href of an a, an area or a VML element is a link, in whatever context a client would show it."""
    link = only_link(mail)

    assert link.element == element
    assert mail[link.start : link.end] == b"x:"


@pytest.mark.parametrize(
    "mail",
    [
        pytest.param(b"<!-- <a href='x:'> -->", id="comment"),
        pytest.param(b"<!-- [if mso]><a href='x:'><![endif]-->", id="comment-that-is-not-conditional"),
        pytest.param(b"<!-- <!--[if mso]><a href='x:'> -->", id="opening-within-a-comment"),
        pytest.param(b"<!-- <a href='x:'>", id="unclosed-comment"),
        pytest.param(b"<!doctype <a href='x:'>", id="doctype"),
        pytest.param(b"<![CDATA[<a href='x:']]>", id="bogus-comment"),
        pytest.param(b"<textarea><a href='x:'></textarea>", id="textarea"),
        pytest.param(b"<title><a href='x:'></title>", id="title"),
        pytest.param(b"<style><a href='x:'></style>", id="style"),
        pytest.param(b"<script>'<a href=x:>'</script>", id="script"),
        pytest.param(b"<xmp><a href='x:'></xmp>", id="xmp"),
        pytest.param(b"<iframe><a href='x:'></iframe>", id="iframe"),
        pytest.param(b"<noembed><a href='x:'></noembed>", id="noembed"),
        pytest.param(b"<noframes><a href='x:'></noframes>", id="noframes"),
        pytest.param(b"<plaintext><a href='x:'>", id="plaintext"),
        pytest.param(b"<template><a href='x:'></a></template>", id="template"),
        pytest.param(b"<template><!--[if mso]><a href='x:'><![endif]--></template>", id="conditional-in-template"),
        pytest.param(b"<textarea><!--[if mso]><a href='x:'><![endif]--></textarea>", id="conditional-in-textarea"),
        pytest.param(b"<style><!--[if mso]><a href='x:'><![endif]--></style>", id="conditional-in-style"),
        pytest.param(b"<p title=\"<a href='x:'>\">", id="attribute"),
        pytest.param(b"&lt;a href='x:'>", id="text"),
        pytest.param(b"<link href='x:'><base href='x:'><o:p href='x:'><div href='x:'>", id="other-elements"),
        pytest.param(b"<a>", id="no-href"),
        pytest.param(b"<a data-href='x:' xlink:href='x:'>", id="other-attributes"),
        pytest.param(b"</a href='x:'>", id="end-tag"),
        pytest.param(b"<a href='x:'", id="cut-off-before-the-end-of-the-tag"),
        pytest.param(b"<a href='x:", id="cut-off-in-the-value"),
        pytest.param(b"<a hre", id="cut-off-in-the-name"),
        pytest.param(b"", id="empty-mail"),
    ],
)
def test_what_no_client_shows_as_a_link_is_left_alone(mail: bytes) -> None:
    """Comments, raw text, templates, other elements and cut-off tags hold no links."""
    assert find_links(mail) == ()


@pytest.mark.parametrize(
    ("mail", "value"),
    [
        pytest.param(b'<a href="x:1">', b"x:1", id="double-quoted"),
        pytest.param(b"<a href='x:1'>", b"x:1", id="single-quoted"),
        pytest.param(b"<a href=x:1>", b"x:1", id="unquoted"),
        pytest.param(b"<a href=x:1/>", b"x:1/", id="unquoted-with-slash"),
        pytest.param(b"<a href=x:\"1'>", b"x:\"1'", id="unquoted-with-quotes"),
        pytest.param(b"<a href='x:\"1'>", b'x:"1', id="other-quote"),
        pytest.param(b'<a href \t=\r\n "x:1">', b"x:1", id="space-around-equals"),
        pytest.param(b"<a\r\n href=x:1\r\n>", b"x:1", id="crlf-in-the-tag"),
        pytest.param(b"<a\rhref=x:1\r>", b"x:1", id="lone-cr"),
        pytest.param(b"<a\x0chref=x:1\x0c>", b"x:1", id="form-feed"),
        pytest.param(b"<a/href=x:1>", b"x:1", id="slash-before"),
        pytest.param(b'<a title="a > b" href="x:1">', b"x:1", id="greater-than-in-another-value"),
        pytest.param(b'<a title=href href="x:1">', b"x:1", id="href-as-a-value"),
        pytest.param(b'<a class=1href="x:1">', None, id="href-within-a-value"),
        pytest.param(b'<a class="1"href="x:1">', b"x:1", id="no-space-between"),
        pytest.param(b'<a href="">', b"", id="empty"),
        pytest.param(b"<a href>", b"", id="no-value"),
        pytest.param(b"<a href=>", b"", id="no-value-after-equals"),
        pytest.param(b"<a href= >", b"", id="no-value-after-space"),
        pytest.param(b"\xef\xbb\xbf<a href=x:1>", b"x:1", id="utf-8-mark"),
        pytest.param(b"\0<a \0 href=x:\x001>", b"x:\x001", id="nul"),
        pytest.param(b"\xff\xfe\xfa<a href=x:1>", None, id="bytes-that-look-like-utf-16"),
        pytest.param(b"\xfa\xff\xfe<a href=x:1>", b"x:1", id="broken-bytes"),
        pytest.param(b"<a =href=1 href=x:1>", b"x:1", id="stray-equals"),
    ],
)
def test_the_span_is_the_value_without_its_quotes(mail: bytes, value: bytes | None) -> None:
    """However an attribute is written, the span covers its value and nothing else."""
    found = values(mail) if value is not None or mail[:1] != b"\xff" else []

    assert found == ([] if value is None else [value])


def test_only_the_first_of_duplicated_attributes_counts() -> None:
    """A browser follows the first href of a tag, so that is the one."""
    assert values(b"<a href=x:1 href=x:2 HREF=x:3>") == [b"x:1"]


def test_an_element_copied_by_the_tree_builder_is_listed_once() -> None:
    """A misnested link stands several times in the tree, but once in the mail."""
    mail = b"<p><a href=x:1><p><a href=x:2><div><b><p>x</a></b><table><a href=x:3><tr><a href=x:4><td>"

    assert values(mail) == [b"x:1", b"x:2", b"x:3", b"x:4"]


def test_links_come_in_the_order_of_the_mail() -> None:
    """What the tree moves about (out of tables, behind the body) is still listed where it was written."""
    mail = b"<!--[if a]><a href=x:1><![endif]--><table><tr><td><a href=x:2></td></tr><a href=x:3></table><a href=x:4>"

    assert hrefs(mail) == ["x:1", "x:2", "x:3", "x:4"]


@pytest.mark.parametrize(
    ("mail", "found"),
    [
        pytest.param(b"<!--[if mso]><a href=x:1><![endif]-->", ["x:1"], id="plain"),
        pytest.param(b"<!--[IF (gte mso 9)|(IE)]><a href=x:1><![ENDIF]-->", ["x:1"], id="expression"),
        pytest.param(b"<!--[if mso]></td><v:rect href='x:1'/><td><![endif]-->", ["x:1"], id="unbalanced"),
        pytest.param(
            b"<!--[if mso]><style><a href=x:0></style><a href=x:1><![endif]-->", ["x:1"], id="raw-text-inside"
        ),
        pytest.param(b"<!--[if !mso]><!-- --><a href=x:1><!--<![endif]-->", ["x:1"], id="shown-to-others"),
        pytest.param(b"<!--[if !mso]><!--><a href=x:1><!--<![endif]-->", ["x:1"], id="shown-to-others-short"),
        pytest.param(b"<![if !mso]><a href=x:1><![endif]>", ["x:1"], id="downlevel-revealed"),
        pytest.param(b"<!--[if mso]><a href=x:1>--><a href=x:2>", ["x:1", "x:2"], id="no-endif"),
        pytest.param(b"<a href=x:1><!--[if mso]><a href=x:2>", ["x:1", "x:2"], id="unclosed"),
        pytest.param(
            b"<!--[if mso]><a href=x:1><!--[if gte mso 9]><a href=x:2><![endif]--><a href=x:3><![endif]-->",
            ["x:1", "x:2", "x:3"],
            id="nested",
        ),
        pytest.param(b"<!--[if mso]><a href=x:1><!-- <a href=x:2><![endif]-->", ["x:1"], id="comment-inside"),
        pytest.param(b"<!--[if mso]><a href=x:1><![endif]--!><a href=x:2>", ["x:1", "x:2"], id="odd-end"),
        pytest.param(b"<!--[if mso]>\0\r\n<a href=x:1><![endif]-->", ["x:1"], id="nul-and-crlf"),
        pytest.param(b"<!--[if a]><p><![endif]--><!--[if b]><a href=x:1><![endif]-->", ["x:1"], id="second"),
        pytest.param(
            b"<textarea><!--[if a]><a href=x:0><![endif]--></textarea><!--[if a]><a href=x:1><![endif]-->",
            ["x:1"],
            id="same-text-in-a-textarea",
        ),
        pytest.param(b"<noscript><!--[if a]><a href=x:1><![endif]--></noscript>", ["x:1"], id="in-noscript"),
    ],
)
def test_what_only_outlook_shows_is_searched(mail: bytes, found: list[str]) -> None:
    """Links inside conditional comments are links like others."""
    assert hrefs(mail) == found


@pytest.mark.parametrize(
    "opening",
    [
        pytest.param(b"<div>", id="elements"),
        pytest.param(b"<!--[if mso]>", id="conditional-comments"),
        pytest.param(b"<!--", id="comments"),
        pytest.param(b"<!--[if", id="half-conditions"),
        pytest.param(b"<b><i>", id="formatting"),
        pytest.param(b"<template>", id="templates"),
        pytest.param(b"<!--[if mso]><![endif]-->", id="conditional-comments-in-a-row"),
        pytest.param(b"<v:rect href=x:>", id="links"),
    ],
)
def test_nesting_a_hundred_thousand_deep_is_no_harm(opening: bytes) -> None:
    """Neither the stack nor the time gives out, however deep a mail is nested."""
    links = find_links(opening * 100_000 + b"<!-- --><a href=x:1>")

    assert all(link.href in {"x:", "x:1"} for link in links)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param(0, 9, id="too-early"),
        pytest.param(4, 11, id="too-late"),
        pytest.param(3, 10, id="too-short"),
        pytest.param(3, 7, id="name-only"),
        pytest.param(12, 19, id="another-attribute"),
        pytest.param(30, 40, id="beyond-the-end"),
    ],
)
def test_a_place_that_is_not_the_attribute_is_never_given_out(start: int, end: int) -> None:
    """Should the parser mislocate an attribute, the text there tells, and the link is not listed."""
    assert value_span('<a href="1" class=2>', "href", start, end) is None


def test_the_place_of_an_attribute_is_its_value() -> None:
    """The counterpart of the refusals: the right place is accepted."""
    assert value_span('<a href="1" class=2>', "href", 3, 11) == (9, 10)
