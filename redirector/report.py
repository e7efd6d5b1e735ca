"""Reads the counters: how much interest each topic found, and what a campaign achieved."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from redirector.cells import Cells, Path, merged, merged_tree
from redirector.count import AGENT, HOUR_MS, OF_READERS, agent_of, month_of
from redirector.links import Campaign, Link
from redirector.store.campaigns import Campaigns
from redirector.store.counters import Counters
from redirector.store.keys import Keys
from redirector.store.links import Links

Clicks = dict[str, int]


@dataclass(frozen=True, slots=True)
class TopicInterest:
    """A topic's clicks by class, and how many different humans clicked on it this month."""

    topic: str
    clicks: Clicks
    unique_clickers: int


@dataclass(frozen=True, slots=True)
class LinkInterest:
    """A link's clicks by class, and how many different humans clicked on it."""

    link: Link
    clicks: Clicks
    unique_clickers: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a campaign achieved; `hours` maps the beginning of each hour with clicks, in Unix ms, to its clicks.

    `honeypot` are the clicks on links that no reader can see: they are in all sums, but those links not in `links`.
    `breakdowns` are of the human clicks, by what is known of their readers; None where it may not be shown. Those by
    device, system and program are levels of one tree: `os` has cells below a device, `client` below a device's system.
    """

    campaign: Campaign
    clicks: Clicks
    unique_clickers: int
    links: list[LinkInterest]
    honeypot: Clicks
    hours: dict[int, Clicks]
    breakdowns: dict[str, Cells | None]
    min_cell: int

    @property
    def click_rate(self) -> float | None:
        """Unique clickers for each mail sent; None while it is not known how many were."""
        return self.unique_clickers / self.campaign.sent if self.campaign.sent else None


async def topics(links: Links, counters: Counters, keys: Keys, now: int) -> list[TopicInterest]:
    """Every registered topic, in the order of their first use."""
    names = await links.topics()
    clicks = _by(await counters.by_topic())
    month = month_of(now)
    unique = await counters.unique([keys.unique_of_topic(name, month) for name in names])
    return [TopicInterest(name, clicks[name], count) for name, count in zip(names, unique, strict=True)]


async def report(
    name: str, campaigns: Campaigns, links: Links, counters: Counters, keys: Keys, *, min_cell: int
) -> Report:
    """A campaign's numbers at this moment, with cells below `min_cell` merged. Raises UnknownCampaign."""
    campaign = await campaigns.existing(name, "name")
    by_link = _by(await counters.by_link(name))
    by_hour = _by(await counters.by_hour(name))
    by_reader = _by(await counters.by_reader(name))
    every_link = [link async for link in links.of_campaign(name)]
    its_links = [link for link in every_link if not link.honeypot]
    unique = await counters.unique(
        [keys.unique_of_campaign(name), *(keys.unique_of_link(link.number) for link in its_links)]
    )
    return Report(
        campaign=campaign,
        clicks=_sum(by_link.values()),
        unique_clickers=unique[0],
        links=[
            LinkInterest(link, by_link[str(link.number)], count)
            for link, count in zip(its_links, unique[1:], strict=True)
        ],
        honeypot=_sum(by_link[str(link.number)] for link in every_link if link.honeypot),
        hours={int(hour) * HOUR_MS: by_hour[hour] for hour in sorted(by_hour, key=int)},
        breakdowns=breakdowns(by_reader, min_cell),
        min_cell=min_cell,
    )


def breakdowns(by_reader: Mapping[str, Clicks], min_cell: int) -> dict[str, Cells | None]:
    """What may be seen of the human clicks that are counted by what is known of their readers, as a Report has it."""
    counted = by_reader.get("agent", {})
    agents: dict[Path, int] = {path: count for name, count in counted.items() if (path := agent_of(name))}
    tree = merged_tree(agents, min_cell, depth=len(AGENT))
    return dict(zip(AGENT, tree, strict=True)) | {
        name: merged(by_reader.get(name, {}), min_cell) for name in OF_READERS
    }


def _by(sums: Mapping[tuple[str, str], int]) -> defaultdict[str, Clicks]:
    grouped: defaultdict[str, Clicks] = defaultdict(dict)
    for (of, part), count in sums.items():
        grouped[of][part] = count
    return grouped


def _sum(parts: Iterable[Clicks]) -> Clicks:
    total: Clicks = {}
    for clicks in parts:
        for class_, count in clicks.items():
            total[class_] = total.get(class_, 0) + count
    return total
