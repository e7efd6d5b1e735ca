"""Links for a slot that has none yet: the file of another slot on this machine, copied.

A process that comes on top of others so answers what they answer, also when it starts while the store is away.
"""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

LINKS_FILE: Final = "links.sqlite"

log = logging.getLogger(__name__)


def inherit_links(slot: Path) -> None:
    """Copies the links file that changed last to a slot without one. Where none can be copied, it stays without."""
    if (slot / LINKS_FILE).exists():
        return
    for others in sorted(slot.parent.glob(f"redirect-*/{LINKS_FILE}"), key=_changed_at, reverse=True):
        try:
            _copy(others, slot / "links.copy")
            (slot / "links.copy").rename(slot / LINKS_FILE)
        except (sqlite3.Error, OSError) as error:
            log.warning("the links of %s cannot be copied: %s", others, error)
        else:
            log.info("the links of %s are copied to %s", others, slot)
            return


def _copy(source: Path, target: Path) -> None:
    """Copies a file that another process may be writing to, as it is at one moment."""
    target.unlink(missing_ok=True)
    target.touch(mode=0o600)
    with (
        closing(sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True)) as reader,
        closing(sqlite3.connect(target)) as writer,
    ):
        reader.backup(writer)


def _changed_at(path: Path) -> float:
    """When it changed last: SQLite writes to a file beside it first."""
    beside = path.with_name(path.name + "-wal")
    return max((each.stat().st_mtime for each in (path, beside) if each.exists()), default=0.0)
