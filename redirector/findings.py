"""Something that an operator should know, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error keeps links or clicks from working now, a warning may do so some day."""

    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, in a sentence, and the remedy."""

    what: str
    remedy: str
    severity: Severity = Severity.WARNING
