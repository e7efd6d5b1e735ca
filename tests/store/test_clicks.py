"""The click stream: appended to once, read by a group."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import hiredis
import pytest
from redis.asyncio import Redis

from redirector.clicks import packed
from redirector.errors import StoreError, StoreUnavailable
from redirector.store.clicks import ClickAppender, ClickStream
from redirector.store.connection import ANSWER_WITHIN_SECONDS
from redirector.store.keys import Keys
from tests.builders import a_click
from tests.recorders import PATIENT_SECONDS
from tests.store.stores import asked, entries, frozen, kill, on_both_stores, own_store, relayed, until_closed
from tests.streams import next_of

DEADLINE_SECONDS = 0.1
SLACK_SECONDS = 0.5
TIMER_SECONDS = 0.001  # the event loop's timers go by whole milliseconds


def clicks(*numbers: int) -> list[bytes]:
    """Packed clicks whose ids end in these numbers."""
    return [packed(a_click(number)) for number in numbers]


async def ids(redis: Redis, keys: Keys) -> list[str]:
    """The ids of the clicks in the stream."""
    return [fields[b"id"].decode() for _, fields in await entries(redis, keys.clicks())]


@pytest.fixture
async def appender(store_url: str, keys: Keys) -> AsyncIterator[ClickAppender]:
    """An open appender."""
    appender = ClickAppender(store_url, keys, deadline_seconds=DEADLINE_SECONDS)
    await appender.open()
    yield appender
    await appender.close()


@pytest.fixture
async def stream(redis: Redis, keys: Keys) -> ClickStream:
    """The stream as consumer `one` sees it."""
    stream = consumer(redis, keys, "one")
    await stream.join()
    return stream


def consumer(redis: Redis, keys: Keys, name: str) -> ClickStream:
    """A consumer of the counting group."""
    return ClickStream(redis, keys, group="counting", consumer=name)


async def consumers(redis: Redis, keys: Keys) -> list[str]:
    """The consumers of the counting group."""
    return sorted(about["name"].decode() for about in await redis.xinfo_consumers(keys.clicks(), "counting"))


class TestAppending:
    async def test_a_batch_is_in_the_stream_in_its_order(
        self, appender: ClickAppender, redis: Redis, keys: Keys
    ) -> None:
        """When the call returns, all of the batch is there."""
        await appender.append("p-1", 1, clicks(1, 2, 3))

        assert await ids(redis, keys) == ["test-1", "test-2", "test-3"]

    async def test_a_batch_sent_again_is_there_once(self, appender: ClickAppender, redis: Redis, keys: Keys) -> None:
        """The same number of the same recorder, and any older one, is passed over."""
        await appender.append("p-1", 1, clicks(1))
        await appender.append("p-1", 2, clicks(2))
        for number in (2, 1, 2):
            await appender.append("p-1", number, clicks(number))

        assert await ids(redis, keys) == ["test-1", "test-2"]

    async def test_recorders_do_not_share_their_numbers(
        self, appender: ClickAppender, redis: Redis, keys: Keys
    ) -> None:
        """The first batch of another recorder, or of another epoch, is another batch."""
        for recorder in ("p-1", "p-2", "q-1"):
            await appender.append(recorder, 1, clicks(1))

        assert len(await ids(redis, keys)) == 3

    async def test_a_number_is_not_remembered_for_ever(self, appender: ClickAppender, redis: Redis, keys: Keys) -> None:
        """What is remembered of a recorder ends two weeks after its last batch."""
        await appender.append("p-1", 1, clicks(1))

        assert 0 < await redis.ttl(keys.recorder("p-1")) <= 14 * 24 * 3600

    async def test_a_store_that_forgot_the_script_is_taught_again(
        self, appender: ClickAppender, redis: Redis, keys: Keys
    ) -> None:
        """A store that was restarted or flushed of its scripts takes the batch all the same."""
        await redis.script_flush()
        await appender.append("p-1", 1, clicks(1))

        assert await ids(redis, keys) == ["test-1"]

    async def test_a_large_batch(self, appender: ClickAppender, redis: Redis, keys: Keys) -> None:
        """A thousand clicks go in one call."""
        await appender.append("p-1", 1, clicks(*range(1_000)))

        assert await redis.xlen(keys.clicks()) == 1_000

    async def test_nobody_there(self, directory: Path, keys: Keys) -> None:
        """An appender cannot be opened where there is no store."""
        appender = ClickAppender(f"unix://{directory}/none.sock", keys, deadline_seconds=DEADLINE_SECONDS)

        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await appender.open()

    async def test_a_batch_that_was_refused_is_not_remembered(
        self, appender: ClickAppender, redis: Redis, keys: Keys
    ) -> None:
        """A batch that the store did not take can be sent again, and is taken then."""
        await redis.set(keys.clicks(), "no stream")
        with pytest.raises(StoreUnavailable, match=r"not acknowledged.*wrong kind"):
            await appender.append("p-1", 1, clicks(1))
        await redis.delete(keys.clicks())
        await appender.open()
        await appender.append("p-1", 1, clicks(1))

        assert await ids(redis, keys) == ["test-1"]

    async def test_a_batch_is_taken_whole_or_not_at_all(
        self, appender: ClickAppender, redis: Redis, keys: Keys
    ) -> None:
        """One click that cannot be unpacked keeps its whole batch out, so that it can be sent again without harm."""
        with pytest.raises(StoreUnavailable):
            await appender.append("p-1", 1, [*clicks(1), b"\xdd"])

        assert await ids(redis, keys) == []

    async def test_a_reset_connection_is_a_doubt(self, store_url: str, redis: Redis, keys: Keys) -> None:
        """A connection that was reset while nothing was sent is StoreUnavailable, and works once opened again."""
        async with relayed(store_url) as (url, reset):
            appender = ClickAppender(url, keys, deadline_seconds=DEADLINE_SECONDS)
            await appender.open()
            reset()
            await until_closed(appender._connection)
            with pytest.raises(StoreUnavailable):
                await appender.append("p-1", 1, clicks(1))
            await appender.open()
            await appender.append("p-2", 1, clicks(1))
            await appender.close()

        assert await ids(redis, keys) == ["test-1"]


@asynccontextmanager
async def liar(**answers: bytes) -> AsyncIterator[str]:
    """A server that answers each command by its name, and all others with OK; yields its URL."""

    connections: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        commands = hiredis.Reader()
        while data := await reader.read(1 << 16):
            commands.feed(data)
            while command := commands.gets():
                writer.write(answers.get(command[0].decode(), b"+OK\r\n"))
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        try:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:  # what a failed test left open would be waited for
            for connection in connections:
                connection.transport.abort()


SHA = b"$40\r\n%b\r\n" % (b"0123456789abcdef" * 3)[:40]

NO_ACKNOWLEDGEMENTS = {
    "OK": b"+OK\r\n",
    "queued": b"+QUEUED\r\n",
    "nothing": b"$-1\r\n",
    "another number": b":2\r\n",
    "the number as text": b"$1\r\n1\r\n",
    "true": b"#t\r\n",
    "a fraction": b",1\r\n",
    "a list": b"*1\r\n:1\r\n",
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


class TestAppendingToALyingStore:
    @pytest.mark.parametrize("answer", NO_ACKNOWLEDGEMENTS.values(), ids=NO_ACKNOWLEDGEMENTS.keys())
    async def test_what_is_no_acknowledgement_is_a_doubt(self, answer: bytes, keys: Keys) -> None:
        """A reply that is no error is not yet an acknowledgement; the connection is closed."""
        async with liar(SCRIPT=SHA, EVALSHA=answer) as url:
            appender = ClickAppender(url, keys, deadline_seconds=PATIENT_SECONDS)
            await appender.open()
            with pytest.raises(StoreUnavailable, match="not acknowledged"):
                await appender.append("p-1", 1, clicks(1))

            assert not appender._connection.is_connected

    @pytest.mark.parametrize("answer", [b":0\r\n", b":1\r\n"], ids=["there already", "appended"])
    async def test_an_acknowledgement_is_believed(self, answer: bytes, keys: Keys) -> None:
        """A store that says one of the two things that the script says is taken at its word."""
        async with liar(SCRIPT=SHA, EVALSHA=answer) as url:
            appender = ClickAppender(url, keys, deadline_seconds=PATIENT_SECONDS)
            await appender.open()
            await appender.append("p-1", 1, clicks(1))

            assert appender._connection.is_connected
            await appender.close()

    @pytest.mark.parametrize(
        "answer",
        [*NO_ACKNOWLEDGEMENTS.values(), SHA.replace(b"a", b"g")],
        ids=[*NO_ACKNOWLEDGEMENTS, "no hexadecimal number"],
    )
    async def test_what_names_no_script_opens_nothing(self, answer: bytes, keys: Keys) -> None:
        """An appender is only open when it knows the script's name."""
        async with liar(SCRIPT=answer) as url:
            appender = ClickAppender(url, keys, deadline_seconds=PATIENT_SECONDS)
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                await appender.open()

            assert not appender._connection.is_connected

    async def test_an_odd_greeting_opens_nothing(self, keys: Keys) -> None:
        """A store that answers a password with something of another kind is out of reach."""
        async with liar() as url:
            appender = ClickAppender(
                url.replace("redis://", "redis://:geheim@"), keys, deadline_seconds=PATIENT_SECONDS
            )
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                await appender.open()


@on_both_stores
class TestAppendingToAStoreInTrouble:
    async def test_a_frozen_store_is_given_up_at_the_deadline(self, kind: str, directory: Path, keys: Keys) -> None:
        """No answer within the deadline is StoreUnavailable; opened again after the thaw, it goes on."""
        with own_store(kind, directory) as url:
            appender = ClickAppender(url, keys, deadline_seconds=DEADLINE_SECONDS)
            await appender.open()
            with frozen(url):
                began = time.monotonic()
                with pytest.raises(StoreUnavailable, match="not acknowledged"):
                    await appender.append("p-1", 1, clicks(1))
                took = time.monotonic() - began
            await appender.open()
            await appender.append("p-1", 1, clicks(1))
            await appender.close()
            with asked(url) as admin:
                appended = admin.xlen(keys.clicks())

        assert DEADLINE_SECONDS - TIMER_SECONDS <= took < DEADLINE_SECONDS + SLACK_SECONDS
        assert appended == 1

    async def test_a_frozen_store_cannot_be_opened(self, kind: str, directory: Path, keys: Keys) -> None:
        """A store that takes the connection and says nothing is given up within a second, which no reader waits for."""
        with own_store(kind, directory) as url, frozen(url):
            appender = ClickAppender(url, keys, deadline_seconds=DEADLINE_SECONDS)
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                await appender.open()

        assert time.monotonic() - began < ANSWER_WITHIN_SECONDS + SLACK_SECONDS

    async def test_a_killed_store_is_found_out(self, kind: str, directory: Path, keys: Keys) -> None:
        """A store that died is StoreUnavailable at once; started again over its data, it takes the same batch."""
        with own_store(kind, directory, "--appendfsync", "always") as url:
            appender = ClickAppender(url, keys, deadline_seconds=DEADLINE_SECONDS)
            await appender.open()
            await appender.append("p-1", 1, clicks(1))
            kill(url)
            with pytest.raises(StoreUnavailable):
                await appender.append("p-1", 2, clicks(2))
        with own_store(kind, directory) as url:
            await appender.open()
            await appender.append("p-1", 1, clicks(1))
            await appender.append("p-1", 2, clicks(2))
            await appender.close()
            with asked(url) as admin:
                appended = [fields[b"id"] for _, fields in admin.xrange(keys.clicks())]

        assert appended == [b"test-1", b"test-2"]

    @pytest.mark.parametrize(
        ("limit", "words"),
        [
            pytest.param("maxmemory", "memory", id="out of memory"),
            pytest.param("min-replicas-to-write", "replicas", id="too few replicas"),
        ],
    )
    async def test_a_store_that_refuses_writes(
        self, kind: str, directory: Path, keys: Keys, limit: str, words: str
    ) -> None:
        """A batch that the store refuses is StoreUnavailable with the store's reason, and not in the stream."""
        with own_store(kind, directory) as url, asked(url) as admin:
            appender = ClickAppender(url, keys, deadline_seconds=DEADLINE_SECONDS)
            await appender.open()
            admin.config_set(limit, "1")
            with pytest.raises(StoreUnavailable, match=f"(?i){words}"):
                await appender.append("p-1", 1, clicks(1))
            refused = admin.xlen(keys.clicks())
            admin.config_set(limit, "0")
            await appender.open()
            await appender.append("p-1", 1, clicks(1))
            await appender.close()

            assert (refused, admin.xlen(keys.clicks())) == (0, 1)

    async def test_a_replica_is_no_place_to_write(self, kind: str, directory: Path, keys: Keys) -> None:
        """After a failover the old master is read-only, and says so."""
        with own_store(kind, directory) as url, asked(url) as admin:
            appender = ClickAppender(url, keys, deadline_seconds=DEADLINE_SECONDS)
            await appender.open()
            admin.replicaof("127.0.0.1", "1")
            with pytest.raises(StoreUnavailable, match="read only"):
                await appender.append("p-1", 1, clicks(1))

    async def test_a_store_that_began_to_want_a_password(self, kind: str, directory: Path, keys: Keys) -> None:
        """Without its password an appender cannot be opened, with it it can."""
        with own_store(kind, directory) as url, asked(url) as admin:
            admin.config_set("requirepass", "geheim")
            stranger = ClickAppender(url, keys, deadline_seconds=DEADLINE_SECONDS)
            with pytest.raises(StoreUnavailable, match=r"(?i)auth"):
                await stranger.open()
            friend = ClickAppender(url + "?password=geheim", keys, deadline_seconds=DEADLINE_SECONDS)
            await friend.open()
            await friend.append("p-1", 1, clicks(1))
            await friend.close()

            assert admin.xlen(keys.clicks()) == 1


class TestReading:
    async def test_a_group_begins_at_the_beginning(self, appender: ClickAppender, redis: Redis, keys: Keys) -> None:
        """Clicks that were there before the group are given to it."""
        await appender.append("p-1", 1, clicks(1))
        stream = consumer(redis, keys, "one")
        await stream.join()

        assert len(await next_of(stream, 10)) == 1

    async def test_joining_again_changes_nothing(self, stream: ClickStream, appender: ClickAppender) -> None:
        """A consumer that joins a group that exists does not begin it anew."""
        await appender.append("p-1", 1, clicks(1))
        await next_of(stream, 10)
        await stream.join()

        assert await next_of(stream, 10) == []

    async def test_joining_what_is_no_stream_is_an_error(self, redis: Redis, keys: Keys) -> None:
        """Another program's value under the stream's name is a StoreError, not a group."""
        await redis.set(keys.clicks(), "no stream")

        with pytest.raises(StoreError):
            await consumer(redis, keys, "one").join()

    async def test_without_a_group_there_is_nothing_to_read(self, redis: Redis, keys: Keys) -> None:
        """A stream that was deleted under its readers is a StoreError, so that they join again."""
        with pytest.raises(StoreError, match="NOGROUP"):
            await next_of(consumer(redis, keys, "one"), 10)

    async def test_new_entries_are_given_once(
        self, stream: ClickStream, appender: ClickAppender, redis: Redis, keys: Keys
    ) -> None:
        """What one consumer was given no other is given; each takes at most as many as it asks for."""
        await appender.append("p-1", 1, clicks(1, 2, 3))
        other = consumer(redis, keys, "two")

        ids = [entry_id for entry_id, _ in await stream.behind((0, 0), 10)]
        assert await next_of(stream, 2) == ids[:2]
        assert await next_of(other, 2) == ids[2:]

    async def test_what_was_given_stays_until_it_is_acknowledged(
        self, stream: ClickStream, appender: ClickAppender, redis: Redis, keys: Keys
    ) -> None:
        """A consumer that starts again finds what it was given, oldest first, and nothing of others."""
        await appender.append("p-1", 1, clicks(1, 2, 3))
        given = await next_of(stream, 2)
        await next_of(consumer(redis, keys, "two"), 1)

        assert await consumer(redis, keys, "one").mine(10) == given
        assert await stream.mine(1) == given[:1]

    async def test_an_entry_that_was_deleted_is_still_pending(
        self, stream: ClickStream, appender: ClickAppender, redis: Redis, keys: Keys
    ) -> None:
        """What was trimmed from the stream under its reader has to be acknowledged all the same."""
        await appender.append("p-1", 1, clicks(1))
        (entry,) = await next_of(stream, 1)
        await redis.xdel(keys.clicks(), entry)

        assert await stream.mine(10) == [entry]
        assert await stream.behind((0, 0), 10) == []

    async def test_what_a_dead_consumer_left_is_taken_over(
        self, stream: ClickStream, appender: ClickAppender, redis: Redis, keys: Keys
    ) -> None:
        """After its time, what another was given belongs to who claims it, and to nobody else."""
        await appender.append("p-1", 1, clicks(1, 2, 3))
        left = await next_of(stream, 10)
        other = consumer(redis, keys, "two")

        assert await other.claim(2, idle_ms=0) == left[:2]
        assert await other.mine(10) == left[:2]
        assert await stream.mine(10) == left[2:]

    async def test_what_is_being_worked_on_is_not_taken(
        self, stream: ClickStream, appender: ClickAppender, redis: Redis, keys: Keys
    ) -> None:
        """An entry that was given a moment ago stays where it is."""
        await appender.append("p-1", 1, clicks(1))
        given = await next_of(stream, 10)

        assert await consumer(redis, keys, "two").claim(10, idle_ms=3_600_000) == []
        assert await stream.mine(10) == given

    async def test_bytes_that_are_no_text_are_readable(self, stream: ClickStream, redis: Redis, keys: Keys) -> None:
        """An entry that some other program wrote with arbitrary bytes does not stop the reader."""
        await redis.xadd(keys.clicks(), {b"\xff": b"\xfe"})

        assert [flat for _, flat in await stream.behind((0, 0), 10)] == [[b"\xff", b"\xfe"]]

    async def test_deleted_entries_are_claimed(
        self, stream: ClickStream, appender: ClickAppender, redis: Redis, keys: Keys
    ) -> None:
        """What left the stream before a dead consumer's heir came is not passed over silently."""
        await appender.append("p-1", 1, clicks(1, 2, 3))
        left = await next_of(stream, 10)
        await redis.xdel(keys.clicks(), left[1])

        assert await consumer(redis, keys, "two").claim(10, idle_ms=0) == left

    async def test_how_often_an_entry_was_given(
        self, stream: ClickStream, appender: ClickAppender, redis: Redis, keys: Keys
    ) -> None:
        """Every time counts, whoever it was given to; of another's entries this consumer says nothing."""
        await appender.append("p-1", 1, clicks(1))
        (entry,) = await next_of(stream, 1)
        await stream.mine(1)
        other = consumer(redis, keys, "two")
        await other.claim(1, idle_ms=0)

        assert (await other.times_given(entry), await stream.times_given(entry)) == (3, 0)

    async def test_what_it_was_given_can_be_walked_through(self, stream: ClickStream, appender: ClickAppender) -> None:
        """Entries behind one that stays pending are found."""
        await appender.append("p-1", 1, clicks(1, 2, 3))
        given = await next_of(stream, 10)

        assert await stream.mine(1, after=given[0]) == given[1:2]
        assert await stream.mine(10, after=given[2]) == []

    async def test_a_group_that_is_there_needs_no_beginning(
        self, stream: ClickStream, redis: Redis, keys: Keys
    ) -> None:
        """How far it has counted is asked only when it has to be made again; then it must be an entry's id."""
        await redis.set(keys.counted_to("counting"), "no id")
        await stream.join()
        await redis.xgroup_destroy(keys.clicks(), "counting")
        await redis.xadd(keys.clicks(), {"n": "1"})

        with pytest.raises(StoreError, match="does not say how far"):
            await stream.join()

    async def test_consumers_that_are_gone_are_forgotten(
        self, stream: ClickStream, appender: ClickAppender, redis: Redis, keys: Keys
    ) -> None:
        """But for one that left something, and for one that was heard of lately."""
        await appender.append("p-1", 1, clicks(1, 2))
        (done,) = await next_of(stream, 1)
        await redis.xack(keys.clicks(), "counting", done)
        await next_of(consumer(redis, keys, "two"), 1)
        await stream.forget_consumers(idle_ms=3_600_000)
        assert await consumers(redis, keys) == ["one", "two"]
        await stream.forget_consumers(idle_ms=0)

        assert await consumers(redis, keys) == ["two"]
        assert len(await consumer(redis, keys, "two").mine(10)) == 1

    async def test_a_consumer_that_was_forgotten_reads_on(
        self, stream: ClickStream, appender: ClickAppender, redis: Redis, keys: Keys
    ) -> None:
        """It is in the group again with the next entry."""
        await next_of(stream, 1)
        await stream.forget_consumers(idle_ms=0)
        await appender.append("p-1", 1, clicks(1))

        assert len(await next_of(stream, 1)) == 1
        assert await consumers(redis, keys) == ["one"]

    async def test_lag_counts_what_is_not_counted_yet(
        self, stream: ClickStream, appender: ClickAppender, redis: Redis, keys: Keys
    ) -> None:
        """Clicks that nobody was given, and clicks that were given and not acknowledged, are still to be counted."""
        await appender.append("p-1", 1, clicks(1, 2, 3))
        given = await next_of(stream, 2)
        assert await stream.lag() == 3
        await redis.xack(keys.clicks(), "counting", given[0])

        assert await stream.lag() == 2

    async def test_lag_of_a_group_that_is_not_there(self, stream: ClickStream, redis: Redis, keys: Keys) -> None:
        """About a group that never joined, nothing can be said, whoever else reads the stream."""
        assert await stream.lag() == 0
        assert await ClickStream(redis, keys, group="others", consumer="one").lag() is None

    async def test_lag_without_a_stream_is_an_error(self, redis: Redis, keys: Keys) -> None:
        """About a stream that is not there, the store says so."""
        with pytest.raises(StoreError):
            await consumer(redis, keys, "one").lag()
