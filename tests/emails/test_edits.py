"""Edits: what is written, and that it can be taken back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector.emails import Edit, apply, edits_for, find_links, undo

from .reading import hrefs, rewritten

URL_TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=40)


@pytest.mark.parametrize(
    ("mail", "target", "written"),
    [
        pytest.param(b'<a href="x">', "https://y/?a&b", b'<a href="https://y/?a&amp;b">', id="double-quoted"),
        pytest.param(b"<a href='x'>", "https://y/?a&b", b"<a href='https://y/?a&amp;b'>", id="single-quoted"),
        pytest.param(b"<a href=x>", "https://y/c/1", b"<a href=https://y/c/1>", id="unquoted"),
        pytest.param(b"<a href=x>", "y z=`&", b"<a href=y&#32;z&#61;&#96;&amp;>", id="unquoted-special"),
        pytest.param(b"<a href=x/>", "https://y/", b"<a href=https://y/>", id="unquoted-slash"),
        pytest.param(b"<a href= x class=b>", "y", b"<a href= y class=b>", id="unquoted-after-space"),
        pytest.param(b'<a href="x">', "'\"<>", b'<a href="&#39;&quot;&lt;&gt;">', id="quotes"),
        pytest.param(b'<a href="x">', "&amp;&copy=", b'<a href="&amp;amp;&amp;copy=">', id="encoded-once"),
        pytest.param(b'<a href="x">', "a\r\n\tb", b'<a href="a&#13;&#10;&#9;b">', id="line-breaks"),
        pytest.param(b'<a href="x">', "y =`", b'<a href="y =`">', id="quoted-space"),
        pytest.param(b'<a href="x">', "", b'<a href="">', id="nothing"),
        pytest.param(b"<a href=x>", "", b'<a href="">', id="nothing-unquoted"),
        pytest.param(b'<a href="">', "y", b'<a href="y">', id="into-empty"),
        pytest.param(b"<a href=>", "y", b'<a href="y">', id="after-equals"),
        pytest.param(b"<a href= >", "y", b'<a href= "y">', id="after-equals-and-space"),
        pytest.param(b"<a href\r\n=\r\n>", "y", b'<a href\r\n=\r\n"y">', id="after-equals-and-line-break"),
        pytest.param(b"<a HREF>", "y", b'<a HREF="y">', id="after-the-name"),
        pytest.param(b"<a href class=b>", "y", b'<a href="y" class=b>', id="after-the-name-with-more"),
        pytest.param("<a href='x'>é".encode(), "https://é/", "<a href='https://é/'>é".encode(), id="utf-8"),
        pytest.param(b"<a href='x'>\xe9", "\xe9\u20ac\u0416", b"<a href='\xe9\x80&#1046;'>\xe9", id="windows-1252"),
        pytest.param(
            b"<!--[if mso]><a href=x><![endif]-->",
            "-->]>",
            b"<!--[if mso]><a href=--&gt;]&gt;><![endif]-->",
            id="comment",
        ),
    ],
)
def test_a_target_is_legal_where_it_stands(mail: bytes, target: str, written: bytes) -> None:
    """A target is written with references for what would not be itself there; the quotes stay as they are."""
    assert rewritten(mail, target) == written


def test_only_the_chosen_links_change() -> None:
    """A link without a target, and every byte between, stays."""
    mail = b"<a href=https://x/1>\r\n<a href='https://x/2'>\0<a href=\"https://x/3\">"
    first, _, third = find_links(mail)

    edits = edits_for(mail, [(third, "https://y/3"), (first, "https://y/1")])

    assert edits == (
        Edit(8, 19, b"https://x/1", b"https://y/1"),
        Edit(54, 65, b"https://x/3", b"https://y/3"),
    )
    assert apply(mail, edits) == b"<a href=https://y/1>\r\n<a href='https://x/2'>\0<a href=\"https://y/3\">"


def test_without_edits_nothing_changes() -> None:
    """No target, no edit, the same mail."""
    assert edits_for(b"<a href=x>", {}) == ()
    assert apply(b"<a href=x>", ()) == b"<a href=x>"
    assert undo(b"<a href=x>", ()) == b"<a href=x>"


def test_edits_may_come_in_any_order() -> None:
    """Each edit says where it belongs."""
    edits = [Edit(4, 5, b"e", b"EE"), Edit(0, 1, b"a", b"")]

    assert apply(b"abcde", edits) == b"bcdEE"
    assert undo(b"bcdEE", edits) == b"abcde"


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param([Edit(1, 2, b"x", b"y")], id="other-text"),
        pytest.param([Edit(9, 10, b"x", b"y")], id="beyond-the-end"),
        pytest.param([Edit(0, 2, b"ab", b""), Edit(1, 2, b"b", b"")], id="overlapping"),
        pytest.param([Edit(-1, 0, b"", b"y")], id="before-the-start"),
    ],
)
def test_edits_of_another_mail_are_refused(edits: list[Edit]) -> None:
    """An edit is made where its old text stands, or not at all."""
    with pytest.raises(ValueError, match="not what this edit was made for"):
        apply(b"abc", edits)


def test_undoing_what_was_not_done_is_refused() -> None:
    """The mail must be the one that the edits made."""
    with pytest.raises(ValueError, match="not what this edit was made for"):
        undo(b"abc", [Edit(0, 1, b"a", b"z")])


@given(target=URL_TEXT, quote=st.sampled_from(["'", '"', ""]), codec=st.sampled_from(["utf-8", "cp1251", "cp932"]))
def test_what_is_written_reads_as_the_target(target: str, quote: str, codec: str) -> None:
    """Any target, in any quotes and charset, is read back as itself, trimmed as browsers do."""
    mail = f"<p title=x><a href={quote}x{quote} class=y>z</a>".encode()

    assert hrefs(rewritten(mail, target, charset=codec), charset=codec) == [target.strip(" ")]


@given(
    mail=st.binary(max_size=300), changes=st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=9)), max_size=5)
)
def test_what_is_applied_can_be_undone(mail: bytes, changes: list[tuple[int, bytes]]) -> None:
    """Any edits that can be made at all can be taken back to the very same bytes."""
    starts = dict(changes)
    edits = [Edit(start, start + 1, mail[start : start + 1], new) for start, new in starts.items() if start < len(mail)]

    assert undo(apply(mail, edits), edits) == mail
