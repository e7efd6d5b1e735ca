"""What cannot be sent, set aside: copies for whoever wants to look, which also say what was counted already."""

import zlib
from contextlib import suppress
from pathlib import Path


class Quarantine:
    """The directory of copies, made when there is a first one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: set[str] = set()

    def keep(self, name: str, data: bytes) -> Path | None:
        """Keeps a copy of data found at a place of this name, and answers where; None when that was done before.

        A disk that takes no copy is no error: the data is then known until the process ends.
        """
        # The same place may be spoiled twice: segments are numbered from the start again when the cursor is lost.
        copy = self._directory / f"{name}-{zlib.crc32(data):08x}"
        if copy.name in self._known or copy.exists():
            return None
        self._known.add(copy.name)
        with suppress(OSError):
            self._directory.mkdir(mode=0o700, exist_ok=True)
            copy.write_bytes(data)
        return copy
