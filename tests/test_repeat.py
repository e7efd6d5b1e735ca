"""What a process does every so often, beside its work."""

import asyncio

from redirector.repeat import repeating

WITHIN_SECONDS = 20


async def test_the_block_does_not_wait() -> None:
    """An act that takes long keeps nothing from beginning, and is finished before the block is left."""
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def act() -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    async with asyncio.timeout(WITHIN_SECONDS):
        async with repeating(act, 0):
            await begun.wait()
            assert not ended.is_set()
            may_end.set()

    assert ended.is_set()


async def test_it_is_done_again_and_again() -> None:
    """After each time, for as long as the block lasts."""
    times = asyncio.Queue[None]()

    async def act() -> None:
        times.put_nowait(None)

    async with asyncio.timeout(WITHIN_SECONDS):
        async with repeating(act, 0.001):
            for _ in range(3):
                await times.get()


async def test_what_has_more_to_do_goes_on_at_once() -> None:
    """An act that returns True does not wait for its time, but ends with the block."""
    times = 0
    third = asyncio.Event()

    async def act() -> bool:
        nonlocal times
        times += 1
        if times == 3:
            third.set()
        await asyncio.sleep(0)
        return True

    async with asyncio.timeout(WITHIN_SECONDS):
        async with repeating(act, 0.05):
            await third.wait()
