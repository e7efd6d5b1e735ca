"""What user agents say of themselves."""

import re
import time
from typing import Any

import crawleruseragents
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redirector import crawlers, families
from redirector.agents import READ_CHARACTERS, Agent, read, warm_up

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)
MAC = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.6 Safari/605.1.15"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.6 Mobile/15E148 Safari/604.1"
)
IPAD = (
    "Mozilla/5.0 (iPad; CPU OS 16_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/16.6 Mobile/15E148 Safari/604.1"
)
PIXEL = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36"
)
TABLET = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
SLACK = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        pytest.param(FIREFOX, Agent("Firefox", "Linux", "desktop", ""), id="Firefox on Linux"),
        pytest.param(CHROME, Agent("Chrome", "Windows", "desktop", ""), id="Chrome on Windows"),
        pytest.param(MAC, Agent("Safari", "Mac OS X", "desktop", ""), id="Safari on a Mac"),
        pytest.param(IPHONE, Agent("Mobile Safari", "iOS", "phone", ""), id="iPhone"),
        pytest.param(IPAD, Agent("Mobile Safari", "iOS", "tablet", ""), id="iPad"),
        pytest.param(PIXEL, Agent("Chrome Mobile", "Android", "phone", ""), id="Android phone"),
        pytest.param(TABLET, Agent("Chrome", "Android", "tablet", ""), id="Android tablet"),
        pytest.param(GOOGLEBOT, Agent("Googlebot", "", "", "crawler"), id="crawler"),
        pytest.param(SLACK, Agent("Slackbot-LinkExpanding", "", "", "previewer"), id="previewer"),
        pytest.param("curl/8.5.0", Agent("curl", "", "", "crawler"), id="curl"),
        pytest.param("", Agent("", "", "", ""), id="nothing"),
        pytest.param("something else", Agent("", "", "", ""), id="unknown"),
    ],
)
def test_what_a_user_agent_declares(user_agent: str, expected: Agent) -> None:
    """Program, system, kind of device, and whether it says that it is a robot."""
    assert read(user_agent) == expected


@given(
    st.text(st.characters(max_codepoint=255), max_size=80)
    | st.from_regex(r"[\w.]+(Bot|/1\.0 CFNetwork/1)", fullmatch=True)
)
def test_names_are_short_and_plain(user_agent: str) -> None:
    """Whatever a user agent holds, what is read from it is a bounded name of plain characters, and no address."""
    agent = read(user_agent)

    assert re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9 .+_-]{0,31})?", agent.client)
    assert re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9 .+_-]{0,31})?", agent.os)
    assert not re.search(r"\d+\.\d+\.\d+\.\d+", agent.client + " " + agent.os)
    assert agent.device in {"", "desktop", "phone", "tablet"}
    assert agent.robot in {"", "crawler", "previewer"}


@pytest.mark.parametrize(
    "user_agent",
    [
        pytest.param("203.0.113.9/1.0 CFNetwork/1494 Darwin/23.4.0", id="address"),
        pytest.param("reader@example.com/1.0 CFNetwork/1494 Darwin/23.4.0", id="e-mail address"),
        pytest.param("x" * 60 + "/1.0 CFNetwork/1494 Darwin/23.4.0", id="long"),
    ],
)
def test_a_name_that_is_none_is_not_kept(user_agent: str) -> None:
    """The parser takes an app's own word for its name; whatever it does not know itself is not kept."""
    assert read(user_agent).client in {"", "CFNetwork"}


IDENTIFIERS = st.one_of(
    st.ip_addresses(v=4).map(lambda address: str(address).replace(".", "-")),
    st.integers(10**9, 10**13).map(lambda number: f"+{number}"),
    st.emails(),
    st.uuids().map(str),
    st.from_regex(r"[A-Z][a-z]{5,9}[0-9]{2,4}", fullmatch=True),
)
SHAPES = ["{}bot/1.0", "{}Bot/2", "{} spider", "{}/1.0 CFNetwork/1494", "{}-iPhone/1 CFNetwork/1", "{} crawler/3 (x)"]
SHAPES += ["Mozilla/5.0 (compatible; {}; +http://x)", "HbbTV/1.2.1 (; {} ; x 2014)", "/{}bot 1", "x {}archiver/1"]


@given(IDENTIFIERS, st.sampled_from(SHAPES))
def test_no_identifier_is_a_name(identifier: str, shape: str) -> None:
    """Whatever a user agent calls itself, a name that is kept is one that the parser's own list has."""
    agent = read(shape.format(identifier))

    assert identifier not in agent.client + agent.os
    assert agent.client in families.known().clients | {""}
    assert agent.os in families.known().systems | {""}


def test_the_known_names() -> None:
    """The list holds the usual names, those of alternatives and of templates among them, and no expression."""
    clients, systems = families.known()

    assert clients >= {"Firefox", "Chromium", "Explorer for ArcGIS", "Slackbot-LinkExpanding", "okhttp", "50.nu", "IE"}
    assert systems >= {"Windows", "Mac OS X", "iOS", "Android", "Linux", "FreeBSD", "Red Hat"}
    assert not [name for name in clients | systems if re.search(r"[\\()|$*?\[]", name) or len(name) > 32]


HOSTILE = [
    "{}bot/" + "bot/" * 127,
    "Googlebot/2.{}",
    "facebookexternalhit/{}",
    "{}" + "Current Spider " * 30,
    "{}" + " " * 500,
]


@pytest.mark.parametrize("user_agent", HOSTILE)
def test_one_that_was_never_seen_costs_little(user_agent: str) -> None:
    """A robot that changes its name with each request does not get to stop everybody for milliseconds each time."""
    warm_up()

    rounds = [[user_agent.format(20 * round_ + number) for number in range(20)] for round_ in range(5)]

    # The least of them, because what else happens in this process, such as a look for garbage, only adds to it.
    assert min(map(_seconds_for, rounds)) < 20 * 0.0025


def _seconds_for(user_agents: list[str]) -> float:
    began = time.thread_time()
    for user_agent in user_agents:
        read(user_agent)
    return time.thread_time() - began


@pytest.mark.parametrize("entry", crawleruseragents.CRAWLER_USER_AGENTS_DATA[::20], ids=lambda entry: entry["pattern"])
def test_the_whole_list_is_searched(entry: dict[str, Any]) -> None:
    """The examples of an entry are robots of the kind that the package's own search says."""
    for user_agent in entry.get("instances", []):
        assert crawlers.declared(user_agent) == kind_in_package(user_agent) != ""


PATTERNS = [entry["pattern"].replace("\\", "") for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA]
ODD = [
    "Current x RSS Reader",
    "RSS Reader Current",
    "AdsBot-Google",
    "AdsBot-Google-",
    "Seekbot",
    "wget",
    "SSL Labs",
    " ",
]


@settings(deadline=None, max_examples=50)  # the package's own search takes long
@given(st.lists(st.sampled_from(PATTERNS) | st.sampled_from(ODD) | st.text(max_size=3), max_size=4).map("".join))
def test_the_search_finds_what_the_package_finds(user_agent: str) -> None:
    """The search by three characters is a quicker one for the same."""
    assert crawlers.declared(user_agent) == kind_in_package(user_agent)


def kind_in_package(user_agent: str) -> str:
    """The kind of robot by the package's own search."""
    data = crawleruseragents.CRAWLER_USER_AGENTS_DATA
    tags = [data[match].get("tags", ()) for match in crawleruseragents.matching_crawlers(user_agent)]
    return "" if not tags else "previewer" if any("social-preview" in each for each in tags) else "crawler"


@pytest.mark.parametrize(
    "user_agent",
    [
        pytest.param("A" * 1_000_000, id="one letter"),
        pytest.param("Mozilla/5.0 (" * 80_000, id="open parentheses"),
        pytest.param(" " * 1_000_000, id="spaces"),
        pytest.param("Linux; Android " * 70_000, id="Android"),
        pytest.param("1." * 500_000, id="versions"),
        pytest.param("bot/" * 250_000, id="bots"),
        pytest.param("(((((" * 200_000 + ")", id="parentheses and an end"),
    ],
)
def test_a_megabyte_costs_no_more_than_a_line(user_agent: str) -> None:
    """However long a user agent is, and whatever it repeats, reading it takes a bounded time."""
    read(FIREFOX)
    began = time.process_time()
    read(user_agent)

    assert time.process_time() - began < 0.5


def test_what_is_behind_the_part_that_is_read_changes_nothing() -> None:
    """Two user agents that differ only far behind are read as one, and remembered as one."""
    padding = " " * (READ_CHARACTERS - len(FIREFOX))

    assert read(FIREFOX + padding + "Googlebot/2.1 iPad") is read(FIREFOX + padding + "curl/8")
