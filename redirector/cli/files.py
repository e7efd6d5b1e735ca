"""Files that commands write: whole or not at all, and on the disk before the command says so."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EISDIR
from pathlib import Path
from typing import IO

from redirector.durable import sync_directory
from redirector.errors import InvalidInput


@contextmanager
def written_to(name: str, *, field: str, private: bool = False) -> Iterator[IO[bytes]]:
    """The file `name` for writing; "-" is stdout. A file that was there stays as it was until the block has ended well.

    A pipe or a device is written to as it comes: nothing is put in its place. `private` is for its owner alone.
    Raises InvalidInput, about `field`, when the place will not do.
    """
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        path = Path(name).resolve()
        if path.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        if path.exists() and not path.is_file():
            with path.open("wb") as out:
                yield out
        else:
            with _in_place_of(path, 0o600 if private else 0o666) as out:
                yield out
    except OSError as error:
        raise InvalidInput(
            f"the file cannot be written: {error.strerror}", field=field, part=name, remedy="choose another place"
        ) from None


@contextmanager
def _in_place_of(path: Path, mode: int) -> Iterator[IO[bytes]]:
    # A name that nobody foresees, and no file of another's: in /tmp somebody may wait for the secret in a backup.
    draft = path.with_name(f".redirector-{secrets.token_hex(8)}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        draft.replace(path)
        with suppress(PermissionError):  # who may write into a directory need not be able to read it
            sync_directory(path.parent)
    finally:
        draft.unlink(missing_ok=True)
