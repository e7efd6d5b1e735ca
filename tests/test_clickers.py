"""A clicker as one number: recipients and visitors never meet, and what is no clicker is nobody."""

import pytest

from redirector.clickers import DAY_MS, END, FIRST_VISITOR, clicker_from, clicker_of, day_of, is_visitor, visitor
from redirector.codes import MAX_RECIPIENT
from tests.builders import NOON

DAY = NOON // DAY_MS


def test_recipients_and_visitors_never_meet() -> None:
    """The largest token lies below the first visitor, and the last visitor of a far day below the end."""
    assert not is_visitor(MAX_RECIPIENT)
    assert is_visitor(visitor(0, 0))
    assert MAX_RECIPIENT < visitor(0, 0) < visitor(DAY, 0) < visitor(DAY, 1) < visitor(2**29 - 1, 2**31 - 1) < END
    assert day_of(visitor(DAY, 2**31 - 1)) == DAY


def test_a_click_tells_its_clicker() -> None:
    """A recipient is their token, on any day; a visitor is another one every day."""
    assert clicker_of("1152921504606846975", "", NOON) == clicker_of("1152921504606846975", "", 0) == MAX_RECIPIENT
    assert clicker_of("", "77", NOON) == visitor(DAY, 77)
    assert clicker_of("", "77", NOON + DAY_MS) == visitor(DAY + 1, 77)


@pytest.mark.parametrize(
    ("recipient", "visitor_hash", "at"),
    [
        pytest.param("", "", NOON, id="nobody"),
        pytest.param("ann", "", NOON, id="a name"),
        pytest.param("-1", "", NOON, id="negative"),
        pytest.param("0", "", NOON, id="zero"),
        pytest.param("²", "", NOON, id="another digit"),
        pytest.param("9" * 5_000, "", NOON, id="endless"),
        pytest.param(str(FIRST_VISITOR), "", NOON, id="a visitor's number as a token"),
        pytest.param("", str(2**31), NOON, id="a hash of too many bits"),
        pytest.param("", "visitor00001", NOON, id="a hash that is no number"),
        pytest.param("", "77", -1, id="before the first day"),
        pytest.param("", "77", 2**62, id="after the last day"),
    ],
)
def test_what_is_no_clicker_is_nobody(recipient: str, visitor_hash: str, at: int) -> None:
    """Entries that another program wrote hold anything; nobody is taken for somebody else."""
    assert clicker_of(recipient, visitor_hash, at) is None


@pytest.mark.parametrize("text", ["", "0", " 1", "1_0", "+1", "0x1", str(END), "٣"])
def test_other_text_is_no_clicker(text: str) -> None:
    """Only decimal digits below the end are."""
    assert clicker_from(text) is None
