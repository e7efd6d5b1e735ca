"""What links and campaigns hold, and what their names may be."""

from collections.abc import Callable
from typing import Any

import pytest

from redirector.destinations import Destination
from redirector.errors import InvalidInput
from redirector.links import Campaign, Link, Tracking, campaign_name, label_text, topic_name, topic_names


class TestNames:
    @pytest.mark.parametrize(
        ("check", "text"),
        [
            pytest.param(campaign_name, "spring-2026", id="campaign"),
            pytest.param(campaign_name, "Frühling 2026, Teil 1", id="campaign with spaces"),
            pytest.param(campaign_name, "x" * 100, id="long campaign"),
            pytest.param(topic_name, "0", id="short topic"),
            pytest.param(topic_name, "solar_panels-2" + "x" * 36, id="long topic"),
            pytest.param(label_text, "", id="no label"),
            pytest.param(label_text, "Kopfzeile / Logo", id="label"),
            pytest.param(label_text, "é" * 100, id="long label"),
        ],
    )
    def test_a_good_name_is_kept(self, check: Callable[[str, str], str], text: str) -> None:
        """Names are taken as they are."""
        assert check(text, "/name") == text

    @pytest.mark.parametrize(
        ("check", "text", "part"),
        [
            pytest.param(campaign_name, "", "", id="no campaign"),
            pytest.param(campaign_name, "x" * 101, "x", id="campaign too long"),
            pytest.param(campaign_name, " x", " x", id="space before"),
            pytest.param(campaign_name, "x ", "x ", id="space after"),
            pytest.param(campaign_name, "a/b", "a/b", id="slash"),
            pytest.param(campaign_name, ".", ".", id="dot"),
            pytest.param(campaign_name, "..", "..", id="two dots"),
            pytest.param(campaign_name, "a\nb", "\n", id="control character"),
            pytest.param(campaign_name, "a\u202eb", "\u202e", id="format character"),
            pytest.param(campaign_name, "a\ud800b", "\\ud800", id="surrogate"),
            pytest.param(topic_name, "", "", id="no topic"),
            pytest.param(topic_name, "-x", "-x", id="topic with a hyphen before"),
            pytest.param(topic_name, "x" * 51, "x" * 51, id="topic too long"),
            pytest.param(topic_name, "solar\n", "solar\n", id="topic with a line feed"),
            pytest.param(topic_name, "ü", "ü", id="topic not ASCII"),
            pytest.param(topic_name, "\ud800", "\\ud800", id="topic with a surrogate"),
            pytest.param(label_text, "x" * 101, "x", id="label too long"),
            pytest.param(label_text, "a\tb", "\t", id="label with a tab"),
        ],
    )
    def test_a_bad_name_is_refused(self, check: Callable[[str, str], str], text: str, part: str) -> None:
        """The refusal names the field, the piece that decided and what to do."""
        with pytest.raises(InvalidInput) as refused:
            check(text, "/name")

        assert (refused.value.field, refused.value.part) == ("/name", part)
        assert refused.value.remedy

    def test_a_topic_in_capitals_is_not_changed_in_silence(self) -> None:
        """The remedy tells the topic that was probably meant."""
        with pytest.raises(InvalidInput) as refused:
            topic_name("Solar", "/topics")

        assert refused.value.remedy == "write solar"

    def test_topics_keep_their_order_without_repeats(self) -> None:
        """A topic counts once, however often it is named."""
        assert topic_names(iter(["b", "a", "b", "c", "a"]), "/topics") == ("b", "a", "c")

    def test_ten_topics_are_enough(self) -> None:
        """The eleventh different topic is refused, by name."""
        ten = [f"topic-{number}" for number in range(10)]
        with pytest.raises(InvalidInput) as refused:
            topic_names([*ten, *ten, "eleventh"], "/topics")

        assert topic_names([*ten, *ten], "/topics") == tuple(ten)
        assert (refused.value.field, refused.value.part) == ("/topics", "eleventh")


class TestValues:
    def test_a_campaign_counts_in_aggregate_unless_it_says_otherwise(self) -> None:
        """Telling recipients apart is never the default."""
        assert Campaign(name="spring").tracking is Tracking.AGGREGATE

    def test_individual_tracking_needs_consent(self) -> None:
        """A campaign that tells its recipients apart cannot exist without a reference to their consent."""
        with pytest.raises(InvalidInput) as refused:
            Campaign(name="spring", tracking=Tracking.INDIVIDUAL)

        assert refused.value.field == "/consent"
        assert Campaign(name="spring", tracking=Tracking.INDIVIDUAL, consent="DPA 2026-1").consent == "DPA 2026-1"

    @pytest.mark.parametrize("consent", ["x" * 201, "a\0b", "   "])
    def test_a_consent_reference_can_be_read(self, consent: str) -> None:
        """It is up to 200 printable characters, and not only spaces."""
        with pytest.raises(InvalidInput) as refused:
            Campaign(name="spring", tracking=Tracking.INDIVIDUAL, consent=consent)

        assert refused.value.field == "/consent"

    def test_a_link_says_when_it_was_made(self) -> None:
        """There is no link without a time of creation."""
        known: dict[str, Any] = {
            "number": 1,
            "destination": Destination("https://a.example/", "https://a.example/"),
            "campaign": "c",
            "topics": (),
        }

        assert Link(**known, created_at=5).created_at == 5
        with pytest.raises(TypeError, match="created_at"):
            Link(**known)
