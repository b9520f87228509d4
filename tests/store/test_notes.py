"""A team's notes: versions, conflicts and retries, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from perdure.errors import ToolError
from perdure.store.notes import MOST_NOTES, NoteConflict, Notes
from perdure.store.store import Store
from perdure.store.tables import Note

TEAM = "team-1"


@pytest_asyncio.fixture
async def notes(store: Store) -> Notes:
    return Notes(store)


@pytest_asyncio.fixture
async def elsewhere(database_url: str, notes: Notes) -> AsyncIterator[Notes]:
    """The same notes, from another worker."""
    store = await Store.open(database_url)
    yield Notes(store)
    await store.close()


async def _write(
    notes: Notes, text: str, base: int | None, *, name: str = "plan", by: str = "coder-1"
) -> Note:
    return await notes.write(TEAM, name, text, by, base, key=f"{by}:{text}")


async def test_a_note_is_replaced_by_its_next_version(notes: Notes) -> None:
    """Whoever read the last one may write the next."""
    first = await _write(notes, "one", None)
    second = await _write(notes, "two", 1, by="coder-2")
    assert (first.version, second.version) == (1, 2)
    newest = await notes.get(TEAM, "plan")
    assert newest is not None
    assert (newest.text, newest.author, newest.version) == ("two", "coder-2", 2)


async def test_of_each_note_the_newest_version_is_listed(notes: Notes) -> None:
    """By name, and none of another team's."""
    await _write(notes, "later", None, name="b-notes")
    await _write(notes, "one", None)
    await _write(notes, "two", 1)
    await notes.write("team-2", "secret", "x", "spy", None, key="k")
    await notes.write("team-2", "plan", "x", "spy", None, key="l")
    listed = [(note.name, note.version, note.text) for note in await notes.all(TEAM)]
    assert listed == [("b-notes", 1, "later"), ("plan", 2, "two")]


@pytest.mark.parametrize(("base", "given"), [(None, "a new one"), (1, "version 1"), (7, "version")])
async def test_what_is_not_the_newest_version_is_not_replaced(
    notes: Notes, base: int | None, given: str
) -> None:
    """The writer learns which version there is, whose it is, how it begins and what to do."""
    await _write(notes, "one", None)
    await _write(notes, "Tables:\n users", 1, by="architect")
    with pytest.raises(NoteConflict) as caught:
        await _write(notes, "mine", base)
    assert given in str(caught.value)
    assert "version 2, by architect, which begins: 'Tables: users'" in str(caught.value)
    assert "with version=2" in str(caught.value)
    newest = await notes.get(TEAM, "plan")
    assert newest is not None
    assert newest.text == "Tables:\n users"


async def test_a_note_that_is_not_there_has_no_version_to_replace(notes: Notes) -> None:
    """The cure is to leave the version out."""
    with pytest.raises(NoteConflict, match=r"no note 'plan' yet, .* leave `version` out"):
        await _write(notes, "one", 1)


async def test_a_retry_finds_what_it_wrote(notes: Notes, elsewhere: Notes) -> None:
    """Even if others have gone on from there, and nothing is written twice."""
    await _write(notes, "one", None)
    await _write(notes, "two", 1, by="coder-2")
    assert (await _write(elsewhere, "one", None)).version == 1
    newest = await notes.get(TEAM, "plan")
    assert newest is not None
    assert newest.version == 2


async def test_of_writers_at_once_one_wins(notes: Notes, elsewhere: Notes) -> None:
    """In two workers, again and again; all others are told of the winner."""
    base = None
    for attempt in range(5):
        race = [
            _write(each, f"{attempt}", base, by=f"coder-{number}")
            for number, each in enumerate([notes, elsewhere] * 5)
        ]
        ends = await asyncio.gather(*race, return_exceptions=True)
        winners = [end for end in ends if isinstance(end, Note)]
        assert len(winners) == 1
        losers = [str(end) for end in ends if isinstance(end, NoteConflict)]
        assert len(losers) == 9
        assert all(f"by {winners[0].author}, " in loser for loser in losers)
        base = winners[0].version


async def test_attempts_at_once_of_one_call_agree(notes: Notes, elsewhere: Notes) -> None:
    """An attempt that was given up on may still be at work."""
    race = [_write(each, "one", None) for each in [notes, elsewhere] * 5]
    assert {note.version for note in await asyncio.gather(*race)} == {1}


async def test_there_is_an_end_of_notes(notes: Notes, store: Store) -> None:
    """Those that are there can still be written."""
    given: dict[str, Any] = {"team": TEAM, "version": 1, "author": "a", "key": "k", "text": "x"}
    await store.add(*(Note(id=f"n-{n}", name=f"note-{n}", **given) for n in range(MOST_NOTES)))
    with pytest.raises(ToolError, match=f"has {MOST_NOTES} notes"):
        await _write(notes, "one", None)
    assert (await _write(notes, "two", 1, name="note-0")).version == 2
