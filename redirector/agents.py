"""What a user agent says of itself: which program on which system, and whether it declares itself a robot.

Reading one costs hundreds of microseconds, so each is read once and remembered.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import crawleruseragents
import ua_parser

# A browser's own is under 300 characters; what comes behind that tells nothing more.
READ_CHARACTERS: Final = 512

# ua-parser copies some names out of the user agent, so a name is kept only if it is short, plain and no address.
_PLAIN_NAME: Final = re.compile(r"(?!.*\d+\.\d+\.\d+\.\d+)[A-Za-z0-9][A-Za-z0-9 .+_-]{0,31}")

_PHONES: Final = frozenset({"iOS", "Android", "Windows Phone", "KaiOS", "BlackBerry OS"})
_DESKTOPS: Final = frozenset({"Windows", "Mac OS X", "Linux", "Ubuntu", "Fedora", "Debian", "Chrome OS", "FreeBSD"})


@dataclass(frozen=True, slots=True)
class Agent:
    """`client` and `os` are families, without versions; `robot` is "", "crawler" or "previewer"."""

    client: str
    os: str
    device: str
    robot: str


def read(user_agent: str) -> Agent:
    """What `user_agent` declares; everything is "" when it declares nothing."""
    return _read(user_agent[:READ_CHARACTERS])


@lru_cache(maxsize=8_192)
def _read(user_agent: str) -> Agent:
    known = ua_parser.parse(user_agent)
    client = _plain(known.user_agent.family if known.user_agent else "")
    system = _plain(known.os.family if known.os else "")
    return Agent(client, system, _device(system, user_agent), _robot(user_agent))


def _plain(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) and name != "Other" else ""


def _device(system: str, user_agent: str) -> str:
    if system in _DESKTOPS:
        return "desktop"
    if system in _PHONES:
        tablet = "iPad" in user_agent or (system == "Android" and "Mobile" not in user_agent)
        return "tablet" if tablet else "phone"
    return ""


def _robot(user_agent: str) -> str:
    """The list of https://github.com/monperrus/crawler-user-agents, by the words in each entry's `tags`."""
    matches = crawleruseragents.matching_crawlers(user_agent)
    if not matches:
        return ""
    tags = {tag for match in matches for tag in crawleruseragents.CRAWLER_USER_AGENTS_DATA[match].get("tags", ())}
    return "previewer" if "social-preview" in tags else "crawler"
