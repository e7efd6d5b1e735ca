"""A mail with a honeypot as a reader's program shows it: there is nothing to be seen, heard, or reached."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from redirector.emails import apply, place_to_plant, planting
from tests.browser.chromium import Tab
from tests.conftest import short_directory

EMAILS = Path(__file__).parent.parent / "data" / "emails"
MAILS = [
    pytest.param(b"<p><a href=https://www.example.com/>Read on</a></p>", id="a line"),
    pytest.param(
        b"<body><p>Words <a href=https://www.example.com/>here</a> </p> and here</body>", id="text at the end"
    ),
    *(pytest.param(path.read_bytes(), id=path.stem) for path in sorted(EMAILS.glob("*.html"))),
]

ANCHOR = "document.querySelector('a[href*=honeypot-code]')"
TAKES = f"(r => [r.width, r.height])({ANCHOR}.getBoundingClientRect())"
LAYOUT = """JSON.stringify([document.documentElement.scrollWidth, document.documentElement.scrollHeight,
  [...document.body.querySelectorAll('*')].filter(e => !e.matches('a[href*=honeypot-code]')).map(e => {
    const r = e.getBoundingClientRect(); return [e.tagName, r.x, r.y, r.width, r.height]; })])"""
FOCUSED = "document.activeElement && document.activeElement.getAttribute('href')"
STRIP = f"{ANCHOR}.removeAttribute('style')"
MOST_TABS = 200
TAB = ("Tab", 9)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Where the browser finds the mails."""
    with short_directory() as there:
        yield there


def shown(tab: Tab, directory: Path, mail: bytes) -> None:
    """Opens a mail as a page of its own, without the network."""
    file = directory / "mail.html"
    file.write_bytes(mail)
    tab.open(file.as_uri())


def planted(mail: bytes) -> bytes:
    """The mail with its honeypot."""
    place = place_to_plant(mail)
    assert place is not None
    return apply(mail, [planting(mail, place, "https://news.example.com/c/honeypot-code")])


@pytest.mark.parametrize("stripped", [False, True], ids=["as it is", "without its style"])
@pytest.mark.parametrize("mail", MAILS)
def test_honeypot_takes_no_room(tab: Tab, directory: Path, mail: bytes, stripped: bool) -> None:
    """Everything in the mail stands where it stood, also where a gateway has taken the anchor's style away."""
    tab.sized(800)
    shown(tab, directory, mail)
    before = tab.run(LAYOUT)

    shown(tab, directory, planted(mail))
    if stripped:
        tab.run(STRIP)

    assert tab.run(TAKES)[0] == 0
    assert stripped or tab.run(TAKES)[1] == 0
    assert tab.run(LAYOUT) == before
    assert tab.run(f"{ANCHOR}.checkVisibility()") is stripped
    assert tab.run(f"{ANCHOR}.innerText") == ""


@pytest.mark.parametrize("stripped", [False, True], ids=["as it is", "without its style"])
@pytest.mark.parametrize("mail", MAILS)
def test_honeypot_is_not_reached_with_the_keyboard(tab: Tab, directory: Path, mail: bytes, stripped: bool) -> None:
    """The Tab key leads through all links of the mail and never to the honeypot."""
    shown(tab, directory, planted(mail))
    if stripped:
        tab.run(STRIP)
    reached = []
    for _ in range(MOST_TABS):
        tab.press(*TAB)
        reached.append(tab.run(FOCUSED))
        if reached[-1] is None and len(reached) > 1:
            break

    assert any(reached)
    assert not [href for href in reached if href and "honeypot-code" in href]


@pytest.mark.parametrize("mail", MAILS)
def test_honeypot_is_not_read_aloud(tab: Tab, directory: Path, mail: bytes) -> None:
    """What the browser tells screen readers has every other link of the mail, and not this one."""
    shown(tab, directory, planted(mail))
    tab.ask("Accessibility.enable")

    nodes = tab.ask("Accessibility.getFullAXTree")["nodes"]
    told = [
        each["value"].get("value")
        for node in nodes
        if not node["ignored"]
        for each in node.get("properties", [])
        if each["name"] == "url"
    ]
    assert told
    assert not [url for url in told if "honeypot-code" in str(url)]
