"""What a process does every so often, beside its work."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def repeating(act: Callable[[], Coroutine[Any, Any, object]], every_seconds: float) -> AsyncIterator[None]:
    """While the block lasts, `act` is done in the background after each such time, and what it has begun is finished.

    An act that returns True has more to do, and is done again at once.
    """
    ended = asyncio.Event()

    async def repeat() -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), every_seconds)
            while not ended.is_set() and await act() is True:
                pass

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        ended.set()
        await task
