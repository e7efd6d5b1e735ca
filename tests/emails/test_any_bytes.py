"""Whatever the bytes: nothing is raised but UnreadableMail, nothing changes but targets."""

import turbohtml
from hypothesis import given
from hypothesis import strategies as st

from redirector.emails import FoundLink, apply, edits_for, find_links, undo
from redirector.errors import UnreadableMail

NAMED_CHARSETS = (
    "utf-8 utf-16 utf-16be utf-32 latin-1 shift_jis gb18030 big5 euc-kr utf-7 hz-gb-2312 iso-2022-jp iso-2022-kr"
)
CHARSETS = st.none() | st.text(max_size=8) | st.sampled_from(NAMED_CHARSETS.split())
TAGS = """
    <a <a> </a> <b> <p> <table> <tr> <td> <template> </template> <svg> <math> <style> </style> <textarea> </textarea>
    <script> </script> <noscript> </noscript> <area <v:rect <select> <option> <frameset> <body> </body> </html> <form>
    href href= HREF=" href='https://x/ https://y/?a&amp;b=1 data-topic=a ses:tags="topic:b" class=untracked /> > " ' = &
    <!-- --> <!--[if <!--[if(mso)]> <![endif]--> ]> --!> <![CDATA[ ]]> <? <!doctype &copy= &#0; %name% {{ }} ~{ +AGE-
"""
TEXT = [
    "\r",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\0",
    "é",
    "表",
    "日",
    "\x1b$B",
    "\x1b(B",
    "\ufeff",
    "😀",
    "<a href=x>",
    '<a href="y">',
]
PIECES = st.sampled_from([*TAGS.split(), *TEXT])
MARKUP = st.lists(PIECES, max_size=40).map("".join)


def tracked(mail: bytes, charset: str | None) -> tuple[dict[FoundLink, str], bytes]:
    """The targets given to all the links of a mail, and the mail with them; both empty if it cannot be read."""
    try:
        links = find_links(mail, charset=charset, tracked_prefixes=("https://t/",))
    except UnreadableMail:
        return {}, mail
    targets = {link: f"https://t/{number}?a=é&b='\"" for number, link in enumerate(links)}
    edits = edits_for(mail, targets, charset=charset)
    output = apply(mail, edits)
    assert undo(output, edits) == mail
    return targets, output


@given(mail=st.binary(max_size=400), charset=CHARSETS)
def test_any_bytes_are_read_or_refused(mail: bytes, charset: str | None) -> None:
    """Bytes of no kind raise anything else, and edits are undone to the byte."""
    targets, output = tracked(mail, charset)

    assert targets or output == mail


@given(markup=MARKUP, charset=CHARSETS, codec=st.sampled_from(["utf-8", "utf-16", "cp1252", "cp932", "iso-2022-jp"]))
def test_any_markup_is_rewritten_and_undone(markup: str, charset: str | None, codec: str) -> None:
    """Markup of every broken kind, in its own charset or another, is rewritten and put back."""
    tracked(markup.encode(codec, "replace"), charset)


@given(markup=MARKUP)
def test_what_was_written_is_found_again(markup: str) -> None:
    """The same links are found in the output, each with its target: no edit disturbs what is around it."""
    mail = markup.encode()
    targets, output = tracked(mail, "utf-8")

    again = find_links(output, charset="utf-8")
    assert [link.href for link in again] == list(targets.values())
    assert [link.element for link in again] == [link.element for link in targets]


@given(markup=MARKUP)
def test_the_tree_changes_in_its_targets_only(markup: str) -> None:
    """Parsed as a browser would, output and input are the same tree once the targets are put back."""
    mail = markup.encode()
    _, output = tracked(mail, "utf-8")

    assert _without_targets(output) == _without_targets(mail)


def _without_targets(mail: bytes) -> str:
    tree = turbohtml.parse(mail.decode())
    for element in tree.select("[href]"):
        element.attrs["href"] = ""
    for comment in turbohtml.NodeIterator(tree, turbohtml.NodeFilter.SHOW_COMMENT):
        comment.data = ""  # type: ignore[attr-defined]  # may be conditional, with links inside
    return tree.serialize()
