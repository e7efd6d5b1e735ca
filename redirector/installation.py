"""What an installation keeps in its data directory beside the store: its secret, its format, where its server is."""

import json
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Annotated, Final

from pydantic import Field, SecretStr, TypeAdapter

from redirector.errors import InvalidSetting
from redirector.store.embedded import owner_of

RUNNING: Final = "running.json"
SECRET: Final = "secret"  # noqa: S105 - a file's name
FORMAT: Final = "format"

# Goes up when a version of the program can no longer be followed by an earlier one over the same directory.
CURRENT_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs, as the command line on the same machine finds it."""

    pid: Annotated[int, Field(gt=0, lt=2**31)]
    public_url: str
    internal_url: str
    api_key: str
    base_url: str = ""  # as it was told; "" when tracked URLs lead to the public port


log = logging.getLogger(__name__)

_ANNOUNCEMENT: Final = TypeAdapter(Running)


def running_in(data_dir: Path) -> Running | None:
    """The server that runs over this data directory, if one does.

    A killed server leaves its announcement behind, and its number may be another process's by now: only who owns the
    directory is believed. Raises InvalidSetting when the directory is another user's.
    """
    try:
        running = _ANNOUNCEMENT.validate_json((data_dir / RUNNING).read_bytes(), strict=True)
    except PermissionError as error:
        raise _of_another_user(data_dir, error) from None
    except (OSError, ValueError):
        return None
    return running if owner_of(data_dir) == running.pid else None


@contextmanager
def announced(running: Running, data_dir: Path) -> Iterator[None]:
    """Lets the command line of the same user find this server while the block lasts, unless the disk is full."""
    path, draft = data_dir / RUNNING, data_dir / (RUNNING + ".new")
    try:
        with _private(draft, os.O_TRUNC) as file:
            json.dump(asdict(running), file)
        draft.replace(path)
    except OSError as error:
        log.warning("commands will not find this server by its data directory: %s", error)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def secret_in(data_dir: Path) -> SecretStr | None:
    """The data directory's own secret, if there is one. Raises InvalidSetting when it is another user's."""
    try:
        return SecretStr((data_dir / SECRET).read_text(encoding="utf-8").strip())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise _of_another_user(data_dir, error) from None


def _of_another_user(data_dir: Path, error: PermissionError) -> InvalidSetting:
    return InvalidSetting(
        f"{Path(error.filename).name} in it cannot be read: {error.strerror}",
        field="--data-dir",
        part=str(data_dir),
        remedy="run this as the user that the server runs as",
    )


def secret_of(data_dir: Path) -> SecretStr:
    """The data directory's own secret, made when there is none yet. A copy belongs in a safe place."""
    return keep_secret(data_dir, SecretStr(secrets.token_hex(32)))


def keep_secret(data_dir: Path, secret: SecretStr) -> SecretStr:
    """Gives the data directory this secret, unless it has one; answers the one that it has."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / SECRET
    if not path.exists():
        draft = data_dir / f"{SECRET}.{os.getpid()}.new"
        with _private(draft, os.O_TRUNC) as file:
            file.write(secret.get_secret_value() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)  # unlike a rename, it never replaces a secret that somebody else just made
        draft.unlink()
    return SecretStr(path.read_text(encoding="utf-8").strip())


def expect_format(data_dir: Path) -> None:
    """Sees that this version can work with what lies in the directory, and marks it.

    Raises InvalidSetting when a later version has written there: what it wrote could be lost or misread.
    """
    path = data_dir / FORMAT
    try:
        written = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        written = ""  # a new directory
    except (OSError, UnicodeDecodeError):
        written = "unreadable"
    if written and not (written.isdecimal() and 0 < int(written) <= CURRENT_FORMAT):
        raise InvalidSetting(
            f"the data directory has format {written[:20]!r}, and this version knows up to {CURRENT_FORMAT}",
            field="--data-dir",
            part=str(data_dir),
            remedy="run the version that wrote there last, or `redirector restore` a backup into an empty directory",
        )
    if written != str(CURRENT_FORMAT):
        draft = data_dir / (FORMAT + ".new")
        with suppress(OSError):  # a full disk keeps nobody from being redirected
            with _private(draft, os.O_TRUNC) as file:
                file.write(f"{CURRENT_FORMAT}\n")
            draft.replace(path)


def _private(path: Path, flags: int) -> IO[str]:
    """A file for writing that only its owner may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600), "w", encoding="utf-8")
