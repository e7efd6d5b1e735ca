"""Losses: counted at once, said soon, and never once a click."""

import asyncio
from pathlib import Path

import pytest

from redirector.losses import LOST_REASONS, Losses, unforeseen
from tests.recorders import lost
from tests.store.stores import until

AN_HOUR = 3600.0


async def test_first_loss_is_said_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads the log learns of the first click immediately; it is one click, not several."""
    before = lost("spool_failed")
    losses = Losses(say_every_seconds=AN_HOUR)
    losses.add(1, "spool_failed", "the disk is full")

    assert caplog.messages == ["1 click is lost: the disk is full"]
    assert lost("spool_failed") == before + 1


async def test_rest_is_said_when_the_time_is_over(caplog: pytest.LogCaptureFixture) -> None:
    """What follows the first is said together, also if no other loss comes after it; then there is silence."""
    losses = Losses(say_every_seconds=0.1)
    losses.add(1, "spool_failed", "the disk is full")
    for _ in range(20):
        losses.add(2, "spool_failed", "the disk is full")
    await until(lambda: losses._quiet is None)

    assert caplog.messages == ["1 click is lost: the disk is full", "40 clicks are lost: the disk is full"]


async def test_each_reason_has_its_own_line(caplog: pytest.LogCaptureFixture) -> None:
    """A loss that comes often does not hide what another one was about."""
    losses = Losses(say_every_seconds=AN_HOUR)
    losses.add(1, "spool_full", "the spool is full")
    losses.add(3, "spool_failed", "a ZeroDivisionError")
    losses.add(5, "spool_full", "the spool is still full")
    losses.close()

    assert caplog.messages[1:] == [
        "3 clicks are lost: a ZeroDivisionError",
        "5 clicks are lost: the spool is still full",
    ]


async def test_unsaid_is_said_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is left unsaid when the recorder stops, and nothing is said twice."""
    losses = Losses(say_every_seconds=AN_HOUR)
    losses.add(1, "spool_failed", "why")
    losses.add(2, "spool_failed", "why")
    losses.close()
    losses.close()

    assert caplog.messages == ["1 click is lost: why", "2 clicks are lost: why"]


async def test_what_a_thread_finds_out_is_counted_when_it_is_done(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever waits for a thread that lost clicks finds them counted, and said as all others are."""
    before = lost("spool_damaged")
    losses = Losses(say_every_seconds=AN_HOUR)

    def lose() -> None:
        for _ in range(3):
            losses.add_from_thread(2, "spool_damaged", "damage")

    await asyncio.to_thread(lose)
    counted = lost("spool_damaged") - before
    losses.close()

    assert counted == 6
    assert caplog.messages == ["2 clicks are lost: damage", "4 clicks are lost: damage"]


def test_error_that_nobody_foresaw_is_named_without_its_words() -> None:
    """Its type and its place are enough to find it; its words may hold a reader's address."""
    try:
        int("203.0.113.9")
    except ValueError as error:
        said = unforeseen(error)

    assert said.startswith("ValueError in ")
    assert "test_losses.py, line " in said
    assert "203.0.113.9" not in said


@pytest.mark.parametrize("reason", LOST_REASONS)
def test_reason_is_documented(reason: str) -> None:
    """Every reason that the metric may carry is explained where an operator looks for it."""
    page = Path(__file__).parent.parent / "docs" / "reliability.md"

    assert f"| `{reason}` |" in page.read_text()
