"""Doing together what arrives together."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy.exc import OperationalError

from perdure.store.grouping import Grouping


class Doubling:
    """Work that notes its groups, and fails for negative numbers and for zero."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.began = asyncio.Event()

    async def double(self, numbers: Sequence[int]) -> list[int]:
        self.groups.append(list(numbers))
        self.began.set()
        await asyncio.sleep(0)
        if 0 in numbers:
            raise OperationalError("the database is gone", None, Exception())
        if min(numbers) < 0:
            raise ValueError(min(numbers))
        return [2 * number for number in numbers]


async def test_what_comes_meanwhile_waits_for_the_next_group() -> None:
    """The first goes at once with those beside it; who comes later shares the next group."""
    work = Doubling()
    grouping = Grouping(work.double)
    first = [asyncio.create_task(grouping.ask(number)) for number in (1, 2)]
    await work.began.wait()
    later = [asyncio.create_task(grouping.ask(number)) for number in (3, 4)]
    assert await asyncio.gather(*first, *later) == [2, 4, 6, 8]
    assert work.groups == [[1, 2], [3, 4]]


async def test_one_wrong_item_does_not_fail_the_others() -> None:
    """A group that fails is taken apart, so each hears of its own fault alone."""
    grouping = Grouping(Doubling().double)
    one, wrong, two = await asyncio.gather(*map(grouping.ask, (1, -5, 2)), return_exceptions=True)
    assert (one, two) == (2, 4)
    assert isinstance(wrong, ValueError)


async def test_a_fault_of_the_database_is_not_tried_for_each_alone() -> None:
    """When nobody can be served, all are told at once: a locked database takes half a minute."""
    work = Doubling()
    grouping = Grouping(work.double)
    outcomes = await asyncio.gather(*map(grouping.ask, (1, 0, 2)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [OperationalError] * 3
    assert work.groups == [[1, 0, 2]]


async def test_after_a_failure_it_goes_on() -> None:
    """The next item is worked on as if nothing had been."""
    grouping = Grouping(Doubling().double)
    with pytest.raises(ValueError, match="-1"):
        await grouping.ask(-1)
    assert await grouping.ask(1) == 2
    await grouping.close()
