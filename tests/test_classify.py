"""Who clicked, and by which rule."""

import pytest

from redirector.agents import read
from redirector.classify import CRAWLER, HEAD, HUMAN, PREFETCH, PREVIEWER, RULES_VERSION, Verdict, classify
from redirector.clicks import ClickClass
from redirector.facts import RequestFacts
from tests.test_agents import CHROME, FIREFOX, GOOGLEBOT, IPAD, IPHONE, MAC, PIXEL, SLACK, TABLET


def verdict_on(user_agent: str, method: str = "GET", *, prefetch: bool = False) -> Verdict:
    """The verdict on a request of this kind."""
    return classify(RequestFacts(method, user_agent=user_agent, prefetch=prefetch), read(user_agent))


@pytest.mark.parametrize(
    ("verdict", "class_", "rule"),
    [
        pytest.param(HEAD, ClickClass.PROBE, "head-request", id="head"),
        pytest.param(PREFETCH, ClickClass.PREFETCH, "prefetch-header", id="prefetch"),
        pytest.param(PREVIEWER, ClickClass.BOT, "link-previewer", id="previewer"),
        pytest.param(CRAWLER, ClickClass.BOT, "declared-crawler", id="crawler"),
        pytest.param(HUMAN, ClickClass.HUMAN, "no-sign", id="human"),
    ],
)
def test_a_rule_keeps_its_name(verdict: Verdict, class_: ClickClass, rule: str) -> None:
    """Rules stand on the stream by name, with the version of the rules: both are a contract."""
    assert verdict == Verdict(class_, rule)
    assert RULES_VERSION == 1


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
def test_the_first_rule_that_applies_decides(method: str, prefetch: bool, user_agent: str, expected: Verdict) -> None:
    """Rules have an order, and one decides."""
    assert verdict_on(user_agent, method, prefetch=prefetch) is expected


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
    ],
)
def test_real_user_agents(user_agent: str, expected: Verdict) -> None:
    """Browsers and mail programs are humans'; robots that say so are robots."""
    assert verdict_on(user_agent) is expected
