"""A connection to the store that fails soon and says so in the program's own words.

redis-py's default retries turned one command whose reply was lost into eleven over 59 seconds, so there are none here;
whoever may safely ask again does it on their own account.
"""

import importlib.resources
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from redirector.errors import StoreError, StoreUnavailable

ANSWER_WITHIN_SECONDS: Final = 0.9

# A blocking read must end before the socket's own time-out does.
BLOCK_MS: Final = 500

# What it looks like when the store is out of reach. A connection that was reset ends in uvloop's RuntimeError ("the
# handler is closed") at its next use, which redis-py lets through.
UNREACHABLE: Final = (RedisConnectionError, RedisTimeoutError, OSError, RuntimeError)

# What comes of reading a reply that is not of the kind that was asked for.
NO_SENSE: Final = (AttributeError, TypeError, ValueError, LookupError)


@asynccontextmanager
async def connected(url: str, *, answer_within_seconds: float = ANSWER_WITHIN_SECONDS) -> AsyncIterator[Redis]:
    """A client of the store at `url` (redis://, rediss://, unix://), for as long as the block lasts.

    Its replies are bytes. The pool waits for a free connection instead of raising.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        socket_timeout=answer_within_seconds,
        socket_connect_timeout=answer_within_seconds,
        retry=Retry(NoBackoff(), 0),
        max_connections=16,
        timeout=5,
    )
    client = Redis(connection_pool=pool)
    try:
        yield client
    finally:
        await client.aclose()
        await pool.aclose()


def single_connection(url: str) -> AbstractConnection:
    """One unopened connection, for a task that owns it alone and sees to it itself that no answer is waited for long.

    The client's own time-outs are two for each call, one of which takes a task: 20 us, for a batch of 32 clicks of 80.
    """
    pool = BlockingConnectionPool.from_url(
        url, socket_timeout=None, socket_connect_timeout=None, retry=Retry(NoBackoff(), 0)
    )
    return pool.connection_class(**pool.connection_kwargs)


@contextmanager
def store_errors() -> Iterator[None]:
    """Redis's errors come out of this block as the program's own, and so does a reply that cannot be read there."""
    try:
        yield
    except UNREACHABLE as error:
        raise StoreUnavailable(
            f"the store does not answer: {error}",
            remedy="see that it runs, and that store_url leads to it and has its password",
        ) from error
    except RedisError as error:
        raise StoreError(f"the store refused a command: {error}", remedy="see `redirector doctor`") from error
    except NO_SENSE as error:
        # What the others say may hold a piece of the answer.
        why = error if isinstance(error, AttributeError | TypeError) else type(error).__name__
        raise StoreError(
            f"the store answered something of another kind ({why})",
            remedy="see that store_url leads to a Redis or Valkey, and to nothing in between",
        ) from error


def script_source(name: str) -> bytes:
    """The Lua script `name`.lua that lies beside this module."""
    return importlib.resources.files("redirector.store").joinpath(f"{name}.lua").read_bytes()


def script(client: Redis, name: str) -> AsyncScript:
    """A script that the store is taught when it does not know it yet."""
    return client.register_script(script_source(name))


def text(value: bytes | str | None) -> str:
    """A reply as text; bytes that are no UTF-8 come out as replacement characters."""
    if value is None:
        return ""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def as_bytes(value: bytes | str) -> bytes:
    """A reply as bytes, whatever the client made of it."""
    if isinstance(value, bytes):
        return value
    return value.encode()
