"""The topics that a link's author gave it: `data-topic`, or else the `topic` tags of Amazon SES's `ses:tags`.

Names are given as written; which of them are acceptable is not decided here.
"""

from collections.abc import Mapping
from typing import Final

TOPIC_ATTRIBUTES: Final = ("data-topic", "ses:tags")


def topics_of(values: Mapping[str, str]) -> tuple[str, ...]:
    """The topics in order, each once: `"billing,account"`, or `"topic:solar;placement:button"`.

    The second is SES's own syntax for tagging a link: `name:value` pairs, separated by semicolons.
    """
    return _distinct(values.get("data-topic", "").split(",")) or _distinct(_tagged_topics(values.get("ses:tags", "")))


def _tagged_topics(ses_tags: str) -> list[str]:
    pairs = (entry.partition(":") for entry in ses_tags.split(";"))
    return [value for name, _, value in pairs if name.strip() == "topic"]


def _distinct(names: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stripped for name in names if (stripped := name.strip())))
