"""The pages as a reader's browser shows them: whole, safe, and usable by keyboard, at any size, by day and night."""

import pytest

from tests.browser.chromium import Tab
from tests.browser.conftest import Site

PAGES = ["everything", "shared", "personal", "hostile", "gone", "unknown", "nothing", "docs"]
LINKS = ["shared", "personal", "hostile", "gone"]

TAB, ENTER = ("Tab", 9), ("Enter", 13)

# Every text whose contrast with what lies behind it is less than 4.5 to 1: https://www.w3.org/TR/WCAG22/#contrast-minimum
FAINT = """(() => {
  const parts = colour => colour.match(/[0-9.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = parts(colour).map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (parts(colour)[3] !== 0) return colour;
    }
    return matchMedia('(prefers-color-scheme: dark)').matches ? 'rgb(18, 18, 18)' : 'rgb(255, 255, 255)';
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), faint = [];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.push(texts.currentNode.data.trim().slice(0, 60));
  }
  return faint;
})()"""

# Puts an image, a handler, a style and a script into the page, and tells which the policy refused.
INJECT = """new Promise(refused => {
  const seen = [];
  document.addEventListener('securitypolicyviolation', event => {
    if (seen.push(event.effectiveDirective) === 4) refused(seen);
  });
  const markup = '<img src="/x" onerror="document.title = 1"><p style="color: red">';
  document.body.insertAdjacentHTML('beforeend', markup);
  document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 2'}));
})"""

FRAME = """address => new Promise(loaded => {
  const frame = Object.assign(document.createElement('iframe'), {src: address});
  frame.onload = () => loaded(frame.contentDocument && frame.contentDocument.title);
  document.body.append(frame);
})"""

CONTROLS = "[...document.querySelectorAll('a[href], button, summary')].filter(e => e.checkVisibility())"
FOCUSED = f"({CONTROLS}).indexOf(document.activeElement)"
OUTLINE = "getComputedStyle(document.activeElement).outlineStyle"


@pytest.mark.parametrize("page", PAGES)
def test_page_is_whole_and_quiet(tab: Tab, site: Site, page: str) -> None:
    """A page has a heading, complains of nothing, asks nobody else for anything, and leaves no cookie."""
    tab.open(site.pages[page])

    status = [complaint for complaint in tab.complaints if "a status of 404" in complaint]
    assert tab.run("document.querySelectorAll('h1').length") == 1
    assert tab.run("document.documentElement.lang") == "en"
    assert len(status) == (page in {"unknown", "nothing"})
    assert tab.complaints == status
    assert set(tab.requests) - {"data:,"} == {site.pages[page]}
    assert tab.cookies == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_page_can_be_read_by_day_and_night(tab: Tab, site: Site, page: str, scheme: str) -> None:
    """Every text stands out from what is behind it, in the scheme that the reader prefers."""
    tab.scheme(scheme)
    tab.open(site.pages[page])

    assert tab.run("getComputedStyle(document.documentElement).colorScheme") == "light dark"
    assert tab.run(FAINT) == []


@pytest.mark.parametrize("page", PAGES)
def test_page_fits_a_small_screen(tab: Tab, site: Site, page: str) -> None:
    """At 320 pixels, which is also a wide window at a zoom of 400%, nothing has to be scrolled sideways."""
    tab.sized(320)
    tab.open(site.pages[page])

    assert tab.run("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("page", PAGES)
def test_keyboard_reaches_every_control(tab: Tab, site: Site, page: str) -> None:
    """The Tab key leads to each link, button and fold in its order, and each shows that it was reached."""
    tab.open(site.pages[page])
    controls = tab.run(f"({CONTROLS}).length")
    reached = []
    for _ in range(controls):
        tab.press(*TAB)
        reached.append((tab.run(FOCUSED), tab.run(OUTLINE) != "none"))

    assert controls
    assert reached == [(number, True) for number in range(controls)]


@pytest.mark.parametrize("page", LINKS)
def test_what_the_sender_wrote_does_not_run(tab: Tab, site: Site, page: str) -> None:
    """Markup in a campaign's name, a topic, a label, a consent, a destination or the operator's name is text."""
    tab.open(site.pages[page])

    assert tab.run("document.title") == "About this link"
    assert tab.run("document.querySelectorAll('script, img, iframe, [onerror]').length") == 0


def test_markup_shows_as_it_was_written(tab: Tab, site: Site) -> None:
    """A reader sees the hostile label, and no part of it is an element."""
    tab.open(site.pages["hostile"])

    assert '"><script>document.title="pwned"</script>' in tab.run("document.body.innerText")


def test_injected_markup_does_nothing(tab: Tab, site: Site) -> None:
    """Should markup get into a page after all, the page's policy lets it fetch, run and style nothing."""
    tab.open(site.pages["shared"])

    assert sorted(tab.run(INJECT)) == ["img-src", "script-src-attr", "script-src-elem", "style-src-attr"]
    assert tab.run("document.title") == "About this link"


def test_page_cannot_be_framed(tab: Tab, site: Site) -> None:
    """No other page can put this one under a reader's pointer."""
    tab.open(site.pages["docs"])

    framed = tab.run(f"({FRAME})('{site.pages['shared']}')")

    assert framed is None
    assert any("frame-ancestors 'none'" in complaint for complaint in tab.complaints)


def test_objection_of_the_browser_is_seen(tab: Tab, site: Site) -> None:
    """A browser with Global Privacy Control is told that nothing about it would be kept."""
    tab.ask("Network.setExtraHTTPHeaders", headers={"Sec-GPC": "1"})
    tab.open(site.pages["shared"])

    assert "Your browser asks not to be tracked." in tab.run("document.querySelector('.note').innerText")


FORMS = {
    ("shared", "opt-out"): "Nothing more is recorded today",
    ("personal", "opt-out"): "You are opted out",
    ("shared", "erase"): "Your last clicks are being erased",
    ("personal", "erase"): "Your clicks are being erased",
}


@pytest.mark.parametrize(("page", "act"), FORMS, ids=[" ".join(each) for each in FORMS])
def test_form_is_sent_with_the_keyboard(tab: Tab, site: Site, page: str, act: str) -> None:
    """The button sends what the reader asks for, and a page says what was done."""
    tab.open(site.pages[page])
    tab.run(f"document.querySelector('form[action$={act}] button').focus()")
    tab.press(*ENTER)
    tab.loaded()

    assert tab.run("location.href") == f"{site.pages[page]}/{act}"
    assert tab.run("document.querySelector('h1').innerText") == FORMS[page, act]
    assert tab.complaints == []
    assert tab.cookies == []


def test_api_page_shows_code_as_code(tab: Tab, site: Site) -> None:
    """What the descriptions write between backticks is shown as code."""
    tab.open(site.pages["docs"])

    assert "`" not in tab.run("[...document.querySelectorAll('p, td')].map(e => e.innerText).join()")
    assert tab.run("document.querySelectorAll('p code').length") > 0
