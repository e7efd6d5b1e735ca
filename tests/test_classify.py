"""Who clicked, and by which rule."""

from typing import Any

import pytest

from redirector.agents import read
from redirector.classify import (
    BARE_BROWSER,
    CRAWLER,
    GATEWAY,
    HEAD,
    HONEYPOT,
    HUMAN,
    PREFETCH,
    PREVIEWER,
    RULES_VERSION,
    Rule,
    classify,
)
from redirector.clicks import ClickClass
from redirector.facts import RequestFacts
from redirector.gateways import known
from tests.test_agents import CHROME, FIREFOX, GOOGLEBOT, IPAD, IPHONE, MAC, PIXEL, SLACK, TABLET

GATEWAYS = known()
OUTLOOK = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/117.0.0.0 "
    "Safari/537.36 Edg/117.0.2045.47 OneOutlook/1.2023.927.100"
)


def rule_on(user_agent: str, method: str = "GET", *, honeypot: bool = False, **facts: Any) -> Rule:
    """The rule that decides on a request of this kind; it says which language it wants, unless it does not."""
    request = RequestFacts(method, user_agent=user_agent, **{"accept_language": "de-CH", **facts})
    return classify(request, read(user_agent), GATEWAYS, honeypot=honeypot)


@pytest.mark.parametrize(
    ("rule", "class_", "name"),
    [
        pytest.param(HEAD, ClickClass.PROBE, "head-request", id="head"),
        pytest.param(PREFETCH, ClickClass.PREFETCH, "prefetch-header", id="prefetch"),
        pytest.param(PREVIEWER, ClickClass.BOT, "link-previewer", id="previewer"),
        pytest.param(CRAWLER, ClickClass.BOT, "declared-crawler", id="crawler"),
        pytest.param(HONEYPOT, ClickClass.SCANNER, "honeypot-link", id="honeypot"),
        pytest.param(GATEWAY, ClickClass.SCANNER, "declared-gateway", id="gateway"),
        pytest.param(BARE_BROWSER, ClickClass.SUSPECT, "bare-browser", id="bare browser"),
        pytest.param(HUMAN, ClickClass.HUMAN, "no-sign", id="human"),
    ],
)
def test_a_rule_keeps_its_name(rule: Rule, class_: ClickClass, name: str) -> None:
    """Rules stand on the stream by name, with the version of the rules: both are a contract."""
    assert (rule.name, rule.class_) == (name, class_)
    assert RULES_VERSION == 2


@pytest.mark.parametrize(
    ("method", "prefetch", "user_agent", "expected"),
    [
        pytest.param("HEAD", True, GOOGLEBOT, HEAD, id="a HEAD before everything"),
        pytest.param("HEAD", False, FIREFOX, HEAD, id="a HEAD of a browser"),
        pytest.param("GET", True, GOOGLEBOT, PREFETCH, id="a prefetch before a robot"),
        pytest.param("GET", True, FIREFOX, PREFETCH, id="a prefetch of a browser"),
        pytest.param("GET", False, GOOGLEBOT, CRAWLER, id="a robot before a human"),
        pytest.param("GET", False, FIREFOX, HUMAN, id="a human"),
    ],
)
def test_the_first_rule_that_applies_decides(method: str, prefetch: bool, user_agent: str, expected: Rule) -> None:
    """Rules have an order, and one decides."""
    assert rule_on(user_agent, method, prefetch=prefetch) is expected


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        pytest.param(FIREFOX, HUMAN, id="Firefox"),
        pytest.param(CHROME, HUMAN, id="Chrome"),
        pytest.param(MAC, HUMAN, id="Safari"),
        pytest.param(IPHONE, HUMAN, id="iPhone"),
        pytest.param(IPAD, HUMAN, id="iPad"),
        pytest.param(PIXEL, HUMAN, id="Android phone"),
        pytest.param(TABLET, HUMAN, id="Android tablet"),
        pytest.param(CHROME + " Edg/141.0.0.0", HUMAN, id="Edge"),
        pytest.param(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Thunderbird/140.3.0",
            HUMAN,
            id="Thunderbird",
        ),
        pytest.param("", HUMAN, id="no user agent"),
        pytest.param(GOOGLEBOT, CRAWLER, id="Googlebot"),
        pytest.param("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", CRAWLER, id="Bingbot"),
        pytest.param("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", CRAWLER, id="AhrefsBot"),
        pytest.param("python-requests/2.32.3", CRAWLER, id="a script"),
        pytest.param(SLACK, PREVIEWER, id="Slack"),
        pytest.param(
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", PREVIEWER, id="Facebook"
        ),
        pytest.param("Twitterbot/1.0", PREVIEWER, id="Twitter"),
        pytest.param("LinkedInBot/1.0 (compatible; Mozilla/5.0; +http://www.linkedin.com)", PREVIEWER, id="LinkedIn"),
        pytest.param("TelegramBot (like TwitterBot)", PREVIEWER, id="Telegram"),
        pytest.param("WhatsApp/2.23.20.0 A", PREVIEWER, id="WhatsApp"),
        pytest.param(OUTLOOK, GATEWAY, id="Safe Links in Outlook"),
        pytest.param("Mozilla/5.0 (compatible; Barracuda/1.0)", GATEWAY, id="Barracuda"),
    ],
)
def test_real_user_agents(user_agent: str, expected: Rule) -> None:
    """Browsers and mail programs are humans'; robots that say so are robots."""
    assert rule_on(user_agent) is expected


class TestGateways:
    def test_header_of_outlook(self) -> None:
        """The new Outlook names itself in a header of its own, whatever its user agent says."""
        assert rule_on(CHROME, native_host="OneOutlook/1.2023.927.100") is GATEWAY
        assert rule_on(CHROME, native_host="another") is HUMAN

    def test_gateway_before_a_robot_and_behind_a_prefetch(self) -> None:
        """It scans, whatever else it calls itself."""
        assert rule_on(GOOGLEBOT + " Proofpoint") is GATEWAY
        assert rule_on(OUTLOOK, prefetch=True) is PREFETCH


class TestBareBrowsers:
    """A browser that leaves out what it always sends is a suspect; one sign alone is not enough."""

    @pytest.mark.parametrize("user_agent", [FIREFOX, CHROME, PIXEL, CHROME + " Edg/141.0.0.0"])
    def test_neither_language_nor_fetch_metadata(self, user_agent: str) -> None:
        """Neither header."""
        assert rule_on(user_agent, accept_language="") is BARE_BROWSER

    def test_one_of_both_is_enough(self) -> None:
        """Over plain HTTP browsers send no Sec-Fetch-*; and who wants no language may say so."""
        assert rule_on(CHROME, accept_language="", fetch_metadata=True) is HUMAN
        assert rule_on(CHROME, accept_language="en") is HUMAN

    @pytest.mark.parametrize("user_agent", ["", MAC, IPHONE, "Thunderbird/140.3.0", "anything"])
    def test_only_of_programs_that_are_known_to_send_them(self, user_agent: str) -> None:
        """Others may have their reasons."""
        assert rule_on(user_agent, accept_language="") is HUMAN


def test_honeypot_is_followed_by_nobody() -> None:
    """Only a HEAD comes first: it asks, and follows nothing."""
    assert rule_on(FIREFOX, honeypot=True) is HONEYPOT
    assert rule_on(GOOGLEBOT, honeypot=True, prefetch=True) is HONEYPOT
    assert rule_on(FIREFOX, "HEAD", honeypot=True) is HEAD
