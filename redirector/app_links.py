"""The files by which a phone knows that an app opens a host's links: read at start, and served byte for byte."""

import json
from pathlib import Path
from typing import Final

from redirector.errors import InvalidSetting

# Apple takes 128 kB, uncompressed ("Supporting associated domains", Xcode documentation). Android names no limit.
MAX_FILE_BYTES: Final = 131_072


def app_links_in(file: Path, field: str) -> bytes:
    """The file's bytes. Raises InvalidSetting about `field` when it cannot be read, is too large, or is no JSON."""
    try:
        with file.open("rb") as opened:
            found = opened.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidSetting(
            f"the file cannot be read: {reason}", field=field, part=str(file), remedy="name one that is there"
        ) from None
    if len(found) > MAX_FILE_BYTES:
        raise InvalidSetting(
            f"the file has more than {MAX_FILE_BYTES:,} bytes, which no phone takes",
            field=field,
            part=str(file),
            remedy="shorten it",
        )
    try:
        json.loads(found)
    except (ValueError, RecursionError) as error:
        raise InvalidSetting(
            f"the file is not JSON: {error}", field=field, part=str(file), remedy="correct it, or leave it out"
        ) from None
    return found
