"""Frames: batches of clicks as they stand in a spool's segments, and what can be read back of a damaged one.

A frame is a header and a payload, each with its checksum. Behind anything that is not sound, the next sound header is
looked for.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

import msgpack

MARKER: Final = b"rdC1"

# Marker, bytes of the payload, clicks in it, checksum of the payload; the header's own checksum follows.
_FIELDS: Final = Struct(">4sIII")
HEADER_BYTES: Final = _FIELDS.size + 4


@dataclass(frozen=True, slots=True)
class Frame:
    """A batch of packed clicks, and the recorder and the number under which the store takes it once."""

    recorder: str
    number: int
    clicks: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are no sound frame; `clicks` is how many they held, as far as that can still be read.

    What is `torn` was being written when the writer died: nobody was told that those clicks are safe.
    """

    data: bytes
    clicks: int
    torn: bool


@dataclass(frozen=True, slots=True)
class _Header:
    payload_bytes: int
    clicks: int
    checksum: int


def encoded(frame: Frame) -> bytes:
    """The frame as it stands in a segment."""
    payload: bytes = msgpack.packb([frame.recorder, frame.number, list(frame.clicks)])
    fields = _FIELDS.pack(MARKER, len(payload), len(frame.clicks), zlib.crc32(payload))
    return fields + zlib.crc32(fields).to_bytes(4, "big") + payload


def decoded(data: bytes, start: int = 0) -> Iterator[tuple[int, Frame | Damage]]:
    """What stands in a segment from `start` on, each with the offset behind it; every byte belongs to something."""
    at = start
    while at < len(data):
        end, found = _decoded_at(data, at)
        yield end, found
        at = end


def clicks_in(data: bytes, start: int = 0) -> int:
    """How many clicks the frames hold, by their headers alone, up to the first that is not sound."""
    clicks, at = 0, start
    while (header := _header_at(data, at)) is not None:
        clicks += header.clicks
        at += HEADER_BYTES + header.payload_bytes
    return clicks


def _decoded_at(data: bytes, at: int) -> tuple[int, Frame | Damage]:
    header = _header_at(data, at)
    if header is None:
        end = _next_header(data, at + 1)
        rest = data[at:end]
        torn = end == len(data) and (len(rest) < HEADER_BYTES or not any(rest))
        return end, Damage(rest, 0, torn)
    wanted = at + HEADER_BYTES + header.payload_bytes
    frame = _frame(data[at + HEADER_BYTES : wanted], header)
    if frame is not None:
        return wanted, frame
    end = _next_header(data, at + HEADER_BYTES)
    return end, Damage(data[at:end], header.clicks, torn=wanted > len(data) == end)


def _header_at(data: bytes, at: int) -> _Header | None:
    """The header that stands there, if it is sound."""
    fields = data[at : at + _FIELDS.size]
    checksum = data[at + _FIELDS.size : at + HEADER_BYTES]
    if not fields.startswith(MARKER) or zlib.crc32(fields).to_bytes(4, "big") != checksum:
        return None
    _, *values = _FIELDS.unpack(fields)
    return _Header(*values)


def _next_header(data: bytes, at: int) -> int:
    """Where the next sound header begins, or else the end of the data."""
    found = data.find(MARKER, at)
    while found >= 0 and _header_at(data, found) is None:
        found = data.find(MARKER, found + 1)
    return found if found >= 0 else len(data)


def _frame(payload: bytes, header: _Header) -> Frame | None:
    """The frame of a payload, if all of it is there, unchanged, and ours."""
    if len(payload) != header.payload_bytes or zlib.crc32(payload) != header.checksum:
        return None
    try:
        recorder, number, clicks = msgpack.unpackb(payload)
    except (ValueError, TypeError):
        return None
    sound = isinstance(recorder, str) and isinstance(number, int) and isinstance(clicks, list)
    return Frame(recorder, number, clicks) if sound and all(isinstance(each, bytes) for each in clicks) else None
