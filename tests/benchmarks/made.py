"""What minting and rewriting cost, in this process's own CPU time."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Final

from hashids import Hashids

from redirector.codes import Codes, hashids_for
from redirector.destinations import DestinationPolicy
from redirector.errors import RedirectorError
from redirector.links import Link
from redirector.mint import TrackedURLs
from redirector.rewrite import Wishes, rewrite
from redirector.store.links import Minted
from tests.benchmarks.figures import Figures
from tests.benchmarks.measured import per_cpu_second
from tests.builders import NOON, SECRET

EMAILS: Final = Path(__file__).parent.parent / "data" / "emails"
URLS: Final = TrackedURLs("https://news.example.com", Codes(SECRET))
LARGE_MAIL_LINKS: Final = 2_000


def minting(figures: Figures, *, rounds: int, urls: int) -> None:
    """Tracked URLs of one link for each of many recipients, and the bare package's codes for the same numbers."""
    package = hashids_for(SECRET)
    recipients = [f"reader-{number}@example.com" for number in range(urls)]
    numbers = [(number + 1, URLS.codes.recipient_token(name), 2**47 + number) for number, name in enumerate(recipients)]
    few = numbers[: urls // 10]
    ours, theirs = [], []
    for _ in range(rounds):  # in turns, because a shared machine is now faster, now slower
        ours.append(per_cpu_second(urls, lambda: deque(URLS.each(1_000_000, recipients), maxlen=0), time.process_time))
        theirs.append(per_cpu_second(len(few), lambda: _bare(package, few), time.process_time))
    times = median(mine / its for mine, its in zip(ours, theirs, strict=True))
    figures.add("minted_urls_per_cpu_second", median(ours))
    figures.add("hashids_codes_per_cpu_second", median(theirs))
    figures.add("minted_to_hashids", times)
    rows = {
        "a URL per recipient": [median(ours)],
        "the hashids package's codes alone": [median(theirs)],
        "times": [times],
    }
    figures.table("Tracked URLs per CPU second", ("", ""), rows)


def _bare(package: Hashids, numbers: list[tuple[int, int, int]]) -> list[str]:
    return [package.encode(*each) for each in numbers]


def rewriting(figures: Figures, *, rounds: int) -> None:
    """Mails rewritten, with the store's part answered from memory."""
    mails = sorted(EMAILS.glob("*.html"))
    real = [mail.read_bytes() for mail in mails]
    large = large_mail()
    rows = {}
    for name, title, bodies in (
        ("rewritten", f"{len(real)} real mails, {sum(map(len, real)) // 1000:,} KB", real * 40),
        ("rewritten_large", f"one mail of {len(large) // 1000:,} KB with {LARGE_MAIL_LINKS:,} links", [large]),
    ):
        rate = _median(rounds, sum(map(len, bodies)) / 1e6, partial(_rewrite_all, bodies))
        figures.add(f"{name}_mb_per_cpu_second", rate)
        rows[title] = [rate]
    figures.table("HTML rewritten per CPU second", ("", "MB"), rows)


def large_mail() -> bytes:
    """A mail of many articles, each with some text and a link."""
    words = "Solar panels pay for themselves sooner than many think, as our readers in the valley can tell. " * 6
    link = "https://www.example.com/article/{1}?id={1}&amp;utm_source=news"
    article = f'<tr><td style="padding:12px"><p>{{0}}</p><a href="{link}">Read on</a></td></tr>\n'
    rows = "".join(article.format(words, number) for number in range(LARGE_MAIL_LINKS))
    return f"<!doctype html><html><body><table>\n{rows}</table></body></html>".encode()


def _rewrite_all(mails: list[bytes]) -> None:
    asyncio.run(_rewrite_each(mails))


async def _rewrite_each(mails: list[bytes]) -> None:
    numbers = count(1)

    async def mint(drafts: Mapping[int, Link]) -> Mapping[int, Minted | RedirectorError]:
        return {row: Minted(_numbered(draft, next(numbers)), created=True) for row, draft in drafts.items()}

    policy = DestinationPolicy(own_hosts=frozenset({"news.example.com"}))
    for mail in mails:
        await rewrite(mail, Wishes("spring", ("news",)), policy=policy, urls=URLS, mint=mint, now=NOON)


def _numbered(draft: Link, number: int) -> Link:
    return Link(number, draft.destination, draft.campaign, draft.topics, created_at=NOON)


def _median(rounds: int, units: float, act: Callable[[], object]) -> float:
    act()
    return median(per_cpu_second(units, act, time.process_time) for _ in range(rounds))
