"""Frames: what was written is read back, and of what was damaged everything that is still sound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirector.frames import HEADER_BYTES, Damage, Frame, clicks_in, decoded, encoded

FRAMES = st.lists(
    st.builds(
        Frame,
        recorder=st.text(max_size=20),
        number=st.integers(0, 2**40),
        clicks=st.lists(st.binary(max_size=200), max_size=5),
    ),
    max_size=6,
)
THREE = [Frame("p-1", number, [b"click %d" % number, b"rdC1 in a click"]) for number in (1, 2, 3)]
DATA = b"".join(map(encoded, THREE))
SIZE = len(DATA) // 3


def frames_in(data: bytes) -> list[Frame]:
    """The sound frames."""
    return [found for _, found in decoded(data) if isinstance(found, Frame)]


def damages_in(data: bytes) -> list[Damage]:
    """Everything else."""
    return [found for _, found in decoded(data) if isinstance(found, Damage)]


@given(FRAMES)
def test_what_was_written_is_read_back(frames: list[Frame]) -> None:
    """In its order, each with the offset at which the next begins."""
    data = b"".join(map(encoded, frames))
    found = list(decoded(data))

    assert [frame for _, frame in found] == frames
    assert [end for end, _ in found] == [len(b"".join(map(encoded, frames[: n + 1]))) for n in range(len(frames))]
    assert clicks_in(data) == sum(len(frame.clicks) for frame in frames)


@given(st.binary(max_size=300))
def test_rubbish_is_no_frame(data: bytes) -> None:
    """Whatever stands there, every byte of it belongs to something, and nothing is raised."""
    found = list(decoded(data))

    assert b"".join(damage.data for damage in damages_in(data)) == data
    assert [end for end, _ in found][-1:] == ([len(data)] if data else [])


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_one_changed_byte_costs_one_frame(at: int, change: int) -> None:
    """The frame in which it lies is damage, and the two others are read."""
    data = DATA[:at] + bytes([DATA[at] ^ change]) + DATA[at + 1 :]

    assert frames_in(data) == [frame for number, frame in enumerate(THREE) if number != at // SIZE]
    assert b"".join(damage.data for damage in damages_in(data)) == data[at // SIZE * SIZE : (at // SIZE + 1) * SIZE]


@given(st.integers(0, len(DATA)))
def test_a_tail_that_was_cut_is_torn(length: int) -> None:
    """Of a file that ends in the middle of a frame, the frames before it are read; that one was never finished."""
    data = DATA[:length]

    assert frames_in(data) == THREE[: length // SIZE]
    assert all(damage.torn for damage in damages_in(data))


def test_zeros_at_the_end_are_torn() -> None:
    """A crash may leave a file longer than what was written to it."""
    (damage,) = damages_in(DATA + bytes(1000))

    assert (damage.torn, damage.clicks) == (True, 0)


def test_a_changed_last_frame_is_not_torn() -> None:
    """All of it is there, so it may have been promised: it counts."""
    (damage,) = damages_in(DATA[:-1] + b"!")

    assert (damage.torn, damage.clicks) == (False, 2)


@given(st.integers(0, 3 * SIZE), st.integers(0, 3 * SIZE))
def test_a_missing_piece_costs_the_frames_that_it_touches(one: int, other: int) -> None:
    """Frames that are there whole are read, wherever a piece is missing."""
    first, last = sorted((one, other))
    untouched = [frame for n, frame in enumerate(THREE) if (n + 1) * SIZE <= first or n * SIZE >= last]

    found = frames_in(DATA[:first] + DATA[last:])

    assert [frame for frame in found if frame in untouched] == untouched
    assert all(frame in THREE for frame in found)


@pytest.mark.parametrize(
    "payload",
    [b"\xc1", b"\x93\x01\x02\x03", b"\x92\x01\x02", b"\x93\xa1p\x01\x91\x05", b""],
    ids=["no msgpack", "wrong types", "too short", "a click that is a number", "nothing"],
)
def test_a_payload_of_somebody_else_is_damage(payload: bytes) -> None:
    """Sound checksums around something that is no batch."""
    import zlib

    fields = b"rdC1" + len(payload).to_bytes(4) + (7).to_bytes(4) + zlib.crc32(payload).to_bytes(4)
    frame = fields + zlib.crc32(fields).to_bytes(4) + payload
    assert len(frame) == HEADER_BYTES + len(payload)

    assert damages_in(frame + DATA) == [Damage(frame, 7, torn=False)]
    assert frames_in(frame + DATA) == THREE


def test_reading_can_begin_behind_what_was_sent() -> None:
    """From an offset that an earlier reading gave."""
    assert [frame for _, frame in decoded(DATA, SIZE)] == THREE[1:]
    assert clicks_in(DATA, SIZE) == 4
