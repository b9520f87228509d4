"""One effect a key, however many attempts ask for it."""

import asyncio

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.testing import ActivityEnvironment

from activities.once import Once


class Effect:
    """An effect that counts how often it begins, and ends when it is let."""

    def __init__(self) -> None:
        self.began = 0
        self.may_end = asyncio.Event()
        self.was_cancelled = False

    async def __call__(self) -> str:
        self.began += 1
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return "done"


async def _begun(effect: Effect) -> None:
    while not effect.began:
        await asyncio.sleep(0)


async def _cancelled(once: Once[str], effect: Effect, why: ActivityCancellationDetails) -> None:
    """An attempt that begins the effect and is then cancelled."""
    environment = ActivityEnvironment()
    attempt = asyncio.create_task(environment.run(once.run, "k", effect))
    await _begun(effect)
    environment.cancel(cancellation_details=why)
    with pytest.raises(asyncio.CancelledError):
        await attempt


async def test_a_second_attempt_joins_the_first() -> None:
    """Both get the result of one effect."""
    once, effect = Once[str](), Effect()
    attempts = [asyncio.create_task(once.run("k", effect)) for _ in range(2)]
    await _begun(effect)
    effect.may_end.set()
    assert await asyncio.gather(*attempts) == ["done", "done"]
    assert effect.began == 1


async def test_what_the_server_gave_up_on_is_there_for_the_next_attempt() -> None:
    """A reply that is being paid for is not asked for again."""
    once, effect = Once[str](), Effect()
    await _cancelled(once, effect, ActivityCancellationDetails(not_found=True))
    second = asyncio.create_task(ActivityEnvironment().run(once.run, "k", effect))
    effect.may_end.set()
    assert await second == "done"
    assert effect.began == 1


async def test_a_cancelled_attempt_stops_its_effect() -> None:
    """The attempt is over when the effect is."""
    once, effect = Once[str](), Effect()
    await _cancelled(once, effect, ActivityCancellationDetails(cancel_requested=True))
    assert effect.was_cancelled


async def test_a_failure_reaches_its_attempt_and_is_forgotten() -> None:
    """The next attempt begins anew."""
    once = Once[str]()

    async def fail() -> str:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await once.run("k", fail)
