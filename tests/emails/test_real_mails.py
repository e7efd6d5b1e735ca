"""Real newsletters: the links of one in full, and of all that nothing else changes."""

from pathlib import Path

import pytest
import turbohtml

from redirector.emails import apply, edits_for, find_links, undo

EMAILS = Path(__file__).parent.parent / "data" / "emails"
OWN = EMAILS / "lakeshore-energy-news.html"
MAILS = [pytest.param(path, id=path.stem) for path in sorted(EMAILS.glob("*.html"))]

WWW = "https://www.lakeshore-energy.example"
MY = "https://my.lakeshore-energy.example"

# element, where it leads, topics, why it is left alone
LAKESHORE = [
    ("a", f"{WWW}/?utm_source=newsletter&utm_medium=email", (), None),
    ("a", "{{ view_in_browser_url }}", (), "template"),
    ("a", f"{WWW}/billing/budget-plan?plan=even&from=news#how-it-works", ("billing",), None),
    ("a", f"{MY}/login?next=%2Fbilling%2Fhistory&src=nl", ("billing", "account"), None),
    ("a", f"{MY}/reset?token={{{{ contact.reset_token }}}}", (), "no-track"),
    ("a", f"{WWW}/save/thermostat", ("efficiency",), None),
    ("a", f"{WWW}/save/insulation?zip=53703&kind=attic|wall", ("efficiency",), None),
    ("a", f"{WWW}/save/démo?caf%C3%A9=1", ("efficiency",), None),
    ("a", f"{WWW}/save/checklist", ("efficiency",), None),
    ("v:roundrect", f"{WWW}/solar/calculator?utm_campaign=nov", (), None),
    ("a", f"{WWW}/solar/calculator?utm_campaign=nov", ("solar",), None),
    ("a", "http://solar-coop.example.org/join?ref=lakeshore&ref=again", ("solar",), None),
    ("a", "https://maps.example.com/?q=Lakeshore%20Energy", (), "no-track"),
    ("a", "https://outages.lakeshore-energy.example/map?layer=now&zoom=9", ("outages",), None),
    ("a", "tel:+16085550100", (), "other-scheme"),
    ("a", "mailto:help@lakeshore-energy.example?subject=Outage", (), "other-scheme"),
    ("a", f"{WWW}/outages", (), None),
    ("a", "#top", (), "fragment"),
    ("area", "https://outages.lakeshore-energy.example/report", ("outages",), None),
    ("a", "*|UPDATE_PROFILE|*", (), "template"),
    ("a", "%unsubscribe_url%", (), "template"),
    ("a", f"{WWW}/privacy", (), "no-track"),
    ("a", "javascript:void(0)", (), "other-scheme"),
    ("a", "", (), "empty"),
    ("a", f"{WWW}/padded", (), None),
    ("a", f"{WWW}/same", (), None),
    ("a", f"{MY}/move?step=1&step=2", ("account",), None),
    ("a", f"{WWW}/noscript", (), None),
]


def test_the_newsletters_links_are_these() -> None:
    """Every link of the newsletter, and nothing that only looks like one."""
    links = find_links(OWN.read_bytes())

    assert [(link.element, link.href, link.topics, link.skip) for link in links] == LAKESHORE


@pytest.mark.parametrize("path", MAILS)
def test_edits_undone_give_the_mail_back(path: Path) -> None:
    """Output differs from input, and undoing the edits gives the very bytes."""
    mail = path.read_bytes()
    edits = edits_for(mail, {link: f"https://t.example/c/{link.start}" for link in find_links(mail)})

    output = apply(mail, edits)

    assert edits
    assert output != mail
    assert undo(output, edits) == mail


@pytest.mark.parametrize("path", MAILS)
def test_the_bytes_between_targets_stay(path: Path) -> None:
    """Split at the targets, input and output are the same pieces."""
    mail = path.read_bytes()
    edits = edits_for(mail, dict.fromkeys(find_links(mail), "https://t.example/c/SAME"))
    starts = [0, *(edit.end for edit in edits)]
    ends = [*(edit.start for edit in edits), len(mail)]

    output = apply(mail, edits)

    assert output.split(b"https://t.example/c/SAME") == [
        mail[start:end] for start, end in zip(starts, ends, strict=True)
    ]


@pytest.mark.parametrize("path", MAILS)
def test_the_tree_changes_in_its_targets_only(path: Path) -> None:
    """A browser builds the same tree from the output as from the input, but for the targets."""
    mail = path.read_bytes()
    links = [link for link in find_links(mail) if link.href]
    tree = turbohtml.parse(mail.decode())
    for element in tree.select("a, area"):
        if element.attr("href"):
            element.attrs["href"] = "https://t.example/?a&b"

    output = apply(mail, edits_for(mail, dict.fromkeys(links, "https://t.example/?a&b")))

    assert _outside_comments(turbohtml.parse(output.decode())) == _outside_comments(tree)


@pytest.mark.parametrize("path", MAILS)
def test_a_second_rewriting_finds_everything_done(path: Path) -> None:
    """The links of a rewritten mail are known by their prefix, and nothing is left to track."""
    mail = path.read_bytes()
    to_track = [link for link in find_links(mail) if link.skip is None]

    output = apply(mail, edits_for(mail, {link: f"https://t.example/c/{link.start}" for link in to_track}))

    again = find_links(output, tracked_prefixes=("https://t.example/c/",))
    assert [link.skip for link in again].count("already-tracked") == len(to_track)
    assert all(link.skip for link in again)


def _outside_comments(tree: turbohtml.Document) -> str:
    for comment in turbohtml.NodeIterator(tree, turbohtml.NodeFilter.SHOW_COMMENT):
        comment.data = ""  # type: ignore[attr-defined]  # the links in conditional ones have tests of their own
    return tree.serialize()
