"""Links in a real store: minted once each, changed without losing a change."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from redirector.errors import LinkExists, StoreError, TooManyTopics, UnknownLink
from redirector.links import Link
from redirector.store import links as links_module
from redirector.store.campaigns import Campaigns
from redirector.store.changes import Changes
from redirector.store.connection import connected
from redirector.store.keys import Keys
from redirector.store.links import Links, Minted
from redirector.store.records import identity, link_from
from tests.builders import NOON, a_campaign, a_destination, a_link
from tests.store.stores import asked


@pytest.fixture
def links(redis: Redis, keys: Keys) -> Links:
    """The links of a store of the test's own."""
    return Links(redis, keys)


async def mint(links: Links, *drafts: Link, topics_max: int = 100) -> list[Minted | TooManyTopics]:
    """The answers, draft by draft, for links of campaign `news`."""
    return await links.mint(a_campaign(), drafts, topics_max=topics_max, now=NOON)


async def mint_one(links: Links, draft: Link) -> Link:
    """The one link that was minted."""
    (minted,) = await mint(links, draft)
    assert isinstance(minted, Minted)
    return minted.link


async def test_a_link_is_minted(links: Links) -> None:
    """A draft gets a number, and is otherwise kept as it is."""
    draft = a_link(label="button", expires_at=NOON + 1)
    (minted,) = await mint(links, draft)

    assert minted == Minted(replace(draft, number=1), created=True)
    assert await links.get(1) == replace(draft, number=1)


async def test_several_are_found_at_once(links: Links) -> None:
    """Links are found by their numbers; a number without a link is left out."""
    one, two = await mint_one(links, a_link()), await mint_one(links, a_link(label="footer"))

    assert await links.those([2, 1, 77]) == {1: one, 2: two}
    assert await links.those([]) == {}


async def test_a_retry_after_a_lost_reply_makes_nothing(links: Links) -> None:
    """The same drafts again are the same links, and are not new."""
    drafts = [a_link(), a_link(label="footer")]
    first = await mint(links, *drafts)
    second = await mint(links, *drafts)

    assert second == [replace(minted, created=False) for minted in first if isinstance(minted, Minted)]


async def test_twice_in_one_list_is_one_link(links: Links) -> None:
    """A list that names the same link twice makes it once."""
    first, second = await mint(links, a_link(), a_link())

    assert isinstance(first, Minted)
    assert second == replace(first, created=False)


async def test_the_order_of_topics_does_not_make_another_link(links: Links) -> None:
    """The same topics in another order are the same link, whose topics stay as they were."""
    first = await mint_one(links, a_link(topics=("solar", "billing")))
    second = await mint_one(links, a_link(topics=("billing", "solar")))

    assert second == first


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(a_link("https://www.example.com/other"), id="destination"),
        pytest.param(a_link(topics=("billing",)), id="topics"),
        pytest.param(a_link(topics=()), id="no topics"),
        pytest.param(a_link(label="footer"), id="label"),
    ],
)
async def test_another_link_has_another_number(links: Links, other: Link) -> None:
    """Links that differ in what makes them one are two."""
    first = await mint_one(links, a_link())
    second = await mint_one(links, other)

    assert (first.number, second.number) == (1, 2)


async def test_another_campaign_has_another_link(links: Links) -> None:
    """The same destination in another mailing is another link."""
    first = await mint_one(links, a_link())
    (second,) = await links.mint(a_campaign("other"), [a_link(campaign="other")], topics_max=100, now=NOON)

    assert isinstance(second, Minted)
    assert second.link.number != first.number


async def test_many_clients_at_once_give_each_link_one_number(store_url: str, keys: Keys) -> None:
    """Clients that mint the same links at one moment agree on every number, and each is new to one of them only."""
    drafts = [a_link(f"https://www.example.com/{number}") for number in range(50)]

    async def one_client(shift: int) -> list[Minted | TooManyTopics]:
        async with connected(store_url) as client:
            return await mint(Links(client, keys), *drafts[shift:], *drafts[:shift])

    answers = [
        minted
        for answer in await asyncio.gather(*(one_client(5 * shift) for shift in range(10)))
        for minted in answer
        if isinstance(minted, Minted)
    ]

    assert len({minted.link.number for minted in answers}) == 50
    assert len({(minted.link.number, minted.link.destination) for minted in answers}) == 50
    assert sum(minted.created for minted in answers) == 50


async def test_topics_are_bounded(links: Links) -> None:
    """A link whose topic finds no room is refused in its own row; the others are minted, before it and behind it."""
    first, second, third = await mint(
        links, a_link(topics=("a", "b")), a_link(topics=("b", "c")), a_link(topics=("b", "a")), topics_max=2
    )

    assert isinstance(first, Minted)
    assert isinstance(second, TooManyTopics)
    assert (second.field, second.part) == ("/topics", "c")
    assert isinstance(third, Minted)
    assert await links.topics() == ["a", "b"]


async def test_a_refused_link_leaves_nothing_behind(links: Links) -> None:
    """A link whose second topic finds no room does not register its first, and takes no number."""
    await mint(links, a_link(topics=("a", "b")), topics_max=1)

    assert await links.topics() == []
    assert (await mint_one(links, a_link())).number == 1


async def test_a_link_that_exists_needs_no_room(links: Links) -> None:
    """Asking again for a link is no matter of how many topics are allowed by now."""
    link = await mint_one(links, a_link())
    (again,) = await mint(links, a_link(), topics_max=0)

    assert again == Minted(link, created=False)


async def test_topics_stand_in_the_order_of_their_first_use(links: Links) -> None:
    """The oldest topic comes first, and stays there when it is used again."""
    for moment, topic in enumerate(("solar", "billing", "solar", "wind")):
        await links.mint(a_campaign(), [a_link(topics=(topic,), label=str(moment))], topics_max=100, now=moment)

    assert await links.topics() == ["solar", "billing", "wind"]


async def test_the_campaign_is_created_with_its_first_link(links: Links, redis: Redis, keys: Keys) -> None:
    """A campaign that is not there yet is made; one that is there stays as it was."""
    campaigns = Campaigns(redis, keys)
    await links.mint(a_campaign(sent=5), [a_link()], topics_max=100, now=NOON)
    await links.mint(a_campaign(sent=6), [a_link(label="footer")], topics_max=100, now=NOON)

    assert await campaigns.get("news") == a_campaign(sent=5)


async def test_what_is_made_is_announced(links: Links, redis: Redis, keys: Keys) -> None:
    """The change stream tells of the campaign and of each link that is new, in order."""
    await mint(links, a_link(), a_link(label="footer"), a_link())
    changes = await Changes(redis, keys).since("0-0")

    assert [(change.kind, change.name) for change in changes or ()] == [
        ("campaign", "news"),
        ("link", "1"),
        ("link", "2"),
    ]


async def test_no_link_is_none(links: Links) -> None:
    """A number that was never given out has no link."""
    assert await links.get(99) is None


async def test_records_of_those_that_there_are(links: Links) -> None:
    """Many links are had at once, as the store keeps them."""
    one, two = [await mint_one(links, a_link(label=label)) for label in ("a", "b")]

    found = await links.records([one.number, 99, two.number])

    assert {number: link_from(number, record) for number, record in found.items()} == {1: one, 2: two}
    assert found[1] == await links.record(1)
    assert await links.records([]) == {}
    assert await links.record(99) is None


async def test_the_last_number(links: Links, redis: Redis, keys: Keys) -> None:
    """It is that of the newest link; what is no number counts as none."""
    before = await links.last_number()
    await mint(links, a_link(), a_link(label="b"))
    after = await links.last_number()
    await redis.set(keys.next_link, "²")

    assert (before, after, await links.last_number()) == (0, 2, 0)


async def test_numbers_that_were_forgotten_are_kept(links: Links, redis: Redis, keys: Keys) -> None:
    """The counter is raised where it is too low, which is announced once; it never goes down."""
    asked = [await links.keep_numbers(number) for number in (40, 40, 7)]
    minted = await mint_one(links, a_link())

    assert asked == [True, False, False]
    assert minted.number == 41
    assert [change.name for change in await Changes(redis, keys).since("0-0") or ()] == ["40", "news", "41"]


async def test_a_page_goes_on_where_the_last_one_ended(links: Links) -> None:
    """A campaign's links come in the order of their numbers, from behind a number, at most so many."""
    await mint(links, *(a_link(label=str(number)) for number in range(12)))

    assert [link.number for link in await links.page("news", after=0, limit=5)] == [1, 2, 3, 4, 5]
    assert [link.number for link in await links.page("news", after=9, limit=5)] == [10, 11, 12]
    assert await links.page("news", after=12, limit=5) == []


async def test_every_link_of_a_campaign(links: Links) -> None:
    """However many links a campaign has, all of them come, each once, and none of another campaign's."""
    total = 2 * links_module.PAGE + 1
    await mint(links, *(a_link(label=str(number)) for number in range(total)))
    await links.mint(a_campaign("other"), [a_link(campaign="other")], topics_max=100, now=NOON)

    assert [link.number async for link in links.of_campaign("news")] == list(range(1, total + 1))


async def test_honeypots_are_not_counted(links: Links) -> None:
    """The links that a reader can see are counted, however often a honeypot is minted or restored."""
    pot = a_link("https://www.example.com/pot", label="honeypot", honeypot=True)
    await mint(links, a_link(), pot, a_link(label="footer"))
    await mint(links, pot)
    stored = [link async for link in links.of_campaign("news")]
    await links.restore([*stored, replace(pot, number=9, label="another")])

    assert await links.count("news") == 2
    assert [link.honeypot async for link in links.of_campaign("news")] == [False, True, False, True]
    assert await links.count("another campaign") == 0


async def test_restored_honeypot_is_not_counted(links: Links, redis: Redis) -> None:
    """An empty store that gets its links back knows which of them readers see."""
    await links.restore([a_link(number=1), a_link(number=2, honeypot=True)])

    assert await links.count("news") == 1


async def test_a_page_passes_over_a_link_that_was_lost(links: Links, redis: Redis, keys: Keys) -> None:
    """A number whose link is no longer in the store leaves a gap, not an error."""
    await mint(links, a_link(), a_link(label="footer"))
    await redis.hdel(keys.links, "1")

    assert [link.number for link in await links.page("news", after=0, limit=5)] == [2]


async def test_a_change_is_kept_and_announced(links: Links, redis: Redis, keys: Keys) -> None:
    """What `decide` makes of a link is what is there afterwards."""
    await mint(links, a_link())
    changes = Changes(redis, keys)
    before = await changes.last_id()
    changed = await links.change(1, lambda link: replace(link, disabled=True))

    assert changed == replace(a_link(number=1), disabled=True)
    assert await links.get(1) == changed
    assert [(change.kind, change.name) for change in await changes.since(before) or ()] == [("link", "1")]


async def test_no_change_is_lost(store_url: str, keys: Keys) -> None:
    """Changes made by many at the same moment are all there in the end."""
    async with connected(store_url) as client:
        links = Links(client, keys)
        await mint(links, a_link())
        await asyncio.gather(
            *(links.change(1, lambda link, c=c: replace(link, label=link.label + c)) for c in "abcdefghijklmnop")  # type: ignore[misc]
        )
        link = await links.get(1)

    assert link
    assert sorted(link.label) == list("abcdefghijklmnop")


async def test_a_change_in_between_is_seen(links: Links, store_url: str, keys: Keys) -> None:
    """Who decides on a link that somebody else changes meanwhile decides again, on what it is then."""
    await mint(links, a_link())
    seen = []

    def decide(link: Link) -> Link:
        seen.append(link.expires_at)
        if len(seen) == 1:
            with asked(store_url) as other:
                record = json.loads(other.hget(keys.links, "1"))
                other.hset(keys.links, "1", json.dumps({**record, "expires_at": NOON}))
        return replace(link, disabled=True)

    changed = await links.change(1, decide)

    assert seen == [None, NOON]
    assert (changed.expires_at, changed.disabled) == (NOON, True)


async def test_a_changed_destination_changes_what_the_link_is(links: Links) -> None:
    """After its destination changed, a link is found by the new one, and the old one makes a new link."""
    link = await mint_one(links, a_link())
    new = a_destination("https://www.example.com/new")
    await links.change(link.number, lambda it: replace(it, destination=new))

    assert (await mint_one(links, a_link(new.stored))).number == link.number
    assert (await mint_one(links, a_link())).number == link.number + 1


async def test_a_change_into_another_link_is_refused(links: Links) -> None:
    """A change that would make two links of a campaign the same says so, and changes nothing."""
    await mint(links, a_link(), a_link("https://www.example.com/other"))
    with pytest.raises(LinkExists) as refused:
        await links.change(2, lambda link: replace(link, destination=a_destination()))

    assert (refused.value.field, refused.value.part) == ("/destination", a_destination().stored)
    link = await links.get(2)
    assert link
    assert link.destination.stored == "https://www.example.com/other"


async def test_no_link_cannot_be_changed(links: Links) -> None:
    """A change of a link that is not there is UnknownLink."""
    with pytest.raises(UnknownLink, match="no link 99"):
        await links.change(99, lambda link: link)


async def test_a_lost_link_is_said_when_it_is_minted_again(links: Links, redis: Redis, keys: Keys) -> None:
    """A link that the store lost while it kept its identity is a StoreError, not a link without a destination."""
    await mint(links, a_link())
    await redis.hdel(keys.links, "1")

    with pytest.raises(StoreError, match="lost the link"):
        await mint(links, a_link())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    record=st.binary(max_size=60)
    | st.dictionaries(
        st.sampled_from(["destination", "campaign", "topics"]), st.none() | st.integers() | st.text()
    ).map(lambda value: json.dumps(value).encode())
)
async def test_a_spoiled_store_is_a_store_error(redis: Redis, record: bytes) -> None:
    """Whatever lies where a link should, reading, listing, changing or minting it raises StoreError only."""
    keys = Keys("spoiled")
    await redis.delete(*[key async for key in redis.scan_iter("spoiled:*")] or ["none"])
    links = Links(redis, keys)
    await mint(links, a_link())
    await redis.hset(keys.links, "1", record)
    acts: list[Any] = [
        lambda: links.get(1),
        lambda: links.page("news", after=0, limit=1),
        lambda: links.change(1, lambda link: link),
        lambda: mint(links, a_link()),
    ]

    for act in acts:
        with pytest.raises(StoreError):
            await act()


async def test_a_spoiled_identity_is_a_store_error(links: Links, redis: Redis, keys: Keys) -> None:
    """An identity that leads to no number is a StoreError."""
    await redis.hset(keys.identities, identity(a_link()), "seven")

    with pytest.raises(StoreError):
        await mint(links, a_link())


async def test_a_key_of_the_wrong_type_is_a_store_error(links: Links, redis: Redis, keys: Keys) -> None:
    """Another program's value under the program's own name is a StoreError."""
    await redis.set(keys.links, "mine")

    with pytest.raises(StoreError):
        await mint(links, a_link())
    with pytest.raises(StoreError):
        await links.get(1)
