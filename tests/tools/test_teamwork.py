"""The tools of a team's members, on both databases and on real files."""

import json
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from perdure.contracts import AgentSpec
from perdure.errors import ToolError
from perdure.sandbox.files.checkpoints import Checkpoints
from perdure.sandbox.folder import Folder
from perdure.store.notes import NoteConflict
from perdure.store.store import Store
from perdure.store.tables import Run
from perdure.teams.contracts import MemberGroup, TeamSpec
from perdure.teams.room import Room
from perdure.tools.teamwork import MOST_CHARACTERS, TOOLS, note, read_notes, take_files
from perdure.tools.tool import Tool, ToolContext

TEAM = TeamSpec(
    name="crew",
    lead=MemberGroup(agent="architect"),
    members=(MemberGroup(agent="coder", count=2), MemberGroup(agent="reviewer")),
)


class Member:
    """A run of a team's member, with a workspace of its own."""

    def __init__(self, store: Store, run: Run, place: Path) -> None:
        self.root = place / "workspace"
        self.root.mkdir(parents=True)
        self.sandbox = Folder(place)
        self._store = store
        self._run = run
        self._checkpoints = Checkpoints(store)

    async def call(self, tool: Tool, *, key: str = "k", **arguments: Any) -> str:
        """Call as the model does: with JSON."""
        key = f"{self._run.id}:{key}"
        context = ToolContext(
            run=self._run.id,
            key=key,
            sandbox=self.sandbox,
            show=lambda _: None,
            begin=lambda detail: self._store.claim(key, self._run.id, detail),
            room=Room.of(self._store, self._run),
        )
        return await tool.call(context, tool.check(json.dumps(arguments)))

    async def refusal(self, tool: Tool, **arguments: Any) -> str:
        with pytest.raises(ToolError) as refused:
            await self.call(tool, **arguments)
        return str(refused.value)

    async def save(self) -> None:
        """Record the files, as after each step."""
        await self._checkpoints.save(self._run.id, self.sandbox, turn=None, key="k")


class Crew:
    """A team whose members' runs begin when they are asked for."""

    def __init__(self, store: Store, place: Path) -> None:
        self.store = store
        self._place = place

    async def open(self, team: TeamSpec = TEAM) -> None:
        spec = team.model_dump(mode="json")
        await self.store.add(_run("the-team", spec=spec))

    async def member(self, name: str, number: int = 1) -> Member:
        """The run of the member's task of that number."""
        spec = AgentSpec(name="a").model_dump(mode="json")
        run = _run(f"the-team.{name}.{number}", spec=spec, team="the-team", member=name)
        await self.store.add(run)
        return Member(self.store, run, self._place / run.id)


def _run(workflow_id: str, **fields: Any) -> Run:
    given = {"id": f"run of {workflow_id}", "agent": "a", "model": "m", "task": "t"}
    return Run(**(given | {"workflow_id": workflow_id} | fields))


@pytest_asyncio.fixture
async def crew(store: Store, tmp_path: Path) -> Crew:
    crew = Crew(store, tmp_path)
    await crew.open()
    return crew


def test_all_of_them_need_a_team() -> None:
    """No run outside of one is offered them."""
    assert all(tool.needs_team for tool in TOOLS)


async def test_outside_of_a_team_they_are_refused(store: Store, tmp_path: Path) -> None:
    """As in a run that goes on from a member's head."""
    alone = Member(store, _run("agent-1", spec={}), tmp_path / "alone")
    assert await alone.refusal(read_notes) == "This run belongs to no team."


async def test_a_note_is_read_by_all(crew: Crew) -> None:
    """With its version, which is what another one replaces it by."""
    first, second = await crew.member("coder-1"), await crew.member("coder-2")
    assert await first.call(read_notes) == "There are no notes yet."
    told = await first.call(note, name="api", text="GET /\nPOST /")
    assert told == "Wrote version 1 of the note 'api'."
    assert await second.call(read_notes, name="api") == (
        "[api, version 1, by coder-1]\nGET /\nPOST /"
    )
    await second.call(note, name="api", text="none", version=1)
    assert await first.call(read_notes) == "api · version 2 · coder-2 · none"
    with pytest.raises(NoteConflict, match="version 2, by coder-2"):
        await first.call(note, key="2", name="api", text="mine", version=1)


async def test_a_note_that_was_tried_twice_is_written_once(crew: Crew) -> None:
    """The second attempt says what the first one did."""
    member = await crew.member("coder-1")
    told = [await member.call(note, name="api", text="x") for _ in range(2)]
    assert told == ["Wrote version 1 of the note 'api'."] * 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"name": "Api design", "text": "x"}, "'name'"),
        ({"name": "../api", "text": "x"}, "'name'"),
        ({"name": "api", "text": ""}, "'text'"),
        ({"name": "api", "text": "x" * (MOST_CHARACTERS + 1)}, "20000"),
        ({"name": "api", "text": "x", "version": 0}, "'version'"),
    ],
)
def test_what_is_no_note_is_refused(arguments: dict[str, Any], word: str) -> None:
    """The sentence names the argument and what was expected."""
    with pytest.raises(ToolError, match=word):
        note.check(json.dumps(arguments))


async def test_an_unknown_note_is_refused(crew: Crew) -> None:
    """The cure is to list them."""
    member = await crew.member("coder-1")
    assert "no note 'api'; read_notes without" in await member.refusal(read_notes, name="api")


async def test_files_of_a_colleague_are_copied(crew: Crew) -> None:
    """Their bytes and permissions, in folders that were not there; nobody else's."""
    giver, taker = await crew.member("coder-1"), await crew.member("reviewer")
    (giver.root / "bin").mkdir()
    (giver.root / "bin" / "run").write_bytes(b"\x7fELF\0\xff")
    (giver.root / "bin" / "run").chmod(0o755)
    (giver.root / "large").write_bytes(bytes(range(256)) * 40_000)
    (giver.root / "empty").touch()
    await giver.save()
    told = await taker.call(take_files, member="coder-1")
    assert told.startswith("Took 3 files (10,240,006 bytes): bin/run, empty, large. coder-1 left")
    for name in ("bin/run", "large", "empty"):
        assert (taker.root / name).read_bytes() == (giver.root / name).read_bytes()
    assert (taker.root / "bin" / "run").stat().st_mode & 0o777 == 0o755


async def test_files_are_copied_into_a_folder(crew: Crew) -> None:
    """Where they replace nothing."""
    giver, taker = await crew.member("coder-1"), await crew.member("coder-2")
    (giver.root / "a").write_text("theirs")
    (giver.root / "b").write_text("theirs")
    await giver.save()
    (taker.root / "a").write_text("mine")
    await taker.call(take_files, member="coder-1", paths=["a"], folder="from/coder")
    assert (taker.root / "from" / "coder" / "a").read_text() == "theirs"
    assert (taker.root / "a").read_text() == "mine"
    assert {each.name for each in taker.root.iterdir()} == {"a", "from"}


async def test_own_files_that_are_replaced_are_named(crew: Crew) -> None:
    """Without a folder they go to the same places."""
    giver, taker = await crew.member("coder-1"), await crew.member("coder-2")
    (giver.root / "a").write_text("theirs")
    await giver.save()
    (taker.root / "a").write_text("mine")
    await taker.save()
    assert "They replace your own: a." in await taker.call(take_files, member="coder-1")
    assert (taker.root / "a").read_text() == "theirs"


async def test_another_attempt_takes_the_same_files(crew: Crew) -> None:
    """Whatever the colleague has done since; another call takes the newest."""
    giver, taker = await crew.member("coder-1"), await crew.member("coder-2")
    (giver.root / "a").write_text("1")
    await giver.save()
    first = await taker.call(take_files, member="coder-1")
    (giver.root / "a").write_text("2")
    await giver.save()
    assert await taker.call(take_files, member="coder-1") == first
    assert (taker.root / "a").read_text() == "1"
    await taker.call(take_files, key="next", member="coder-1")
    assert (taker.root / "a").read_text() == "2"


async def test_the_newest_run_of_a_colleague_counts(crew: Crew) -> None:
    """Once it has recorded files, and not before."""
    old, taker = await crew.member("coder-1"), await crew.member("coder-2")
    (old.root / "a").write_text("old")
    await old.save()
    new = await crew.member("coder-1", 2)
    await taker.call(take_files, key="1", member="coder-1")
    assert (taker.root / "a").read_text() == "old"
    (new.root / "a").write_text("new")
    await new.save()
    await taker.call(take_files, key="2", member="coder-1")
    assert (taker.root / "a").read_text() == "new"


@pytest.mark.parametrize("folder", ["../out", "/etc/out", "link", "file"])
async def test_files_are_put_nowhere_else(crew: Crew, folder: str) -> None:
    """Neither out of the workspace, through a link or not, nor below a file."""
    giver, taker = await crew.member("coder-1"), await crew.member("coder-2")
    (giver.root / "a").write_text("x")
    await giver.save()
    outside = taker.root.parent / "out"
    outside.mkdir()
    (taker.root / "link").symlink_to(outside)
    (taker.root / "file").touch()
    refusal = await taker.refusal(take_files, member="coder-1", folder=folder)
    assert folder in refusal
    assert list(outside.iterdir()) == []


async def test_who_is_not_in_the_team_has_no_files(crew: Crew) -> None:
    """The sentence names those who are."""
    member = await crew.member("coder-1")
    refusal = await member.refusal(take_files, member="coder")
    assert "'coder' is no member of this team. Did you mean 'coder-" in refusal
    assert "Its members: architect, coder-1, coder-2, reviewer." in refusal


async def test_a_colleague_without_files_says_so(crew: Crew) -> None:
    """It may be that it has not begun."""
    member = await crew.member("coder-1")
    assert "No files of reviewer are recorded yet" in await member.refusal(
        take_files, member="reviewer"
    )


async def test_in_a_shared_workspace_there_is_nothing_to_take(store: Store, tmp_path: Path) -> None:
    """The files are there already."""
    crew = Crew(store, tmp_path)
    await crew.open(TEAM.model_copy(update={"shared_workspace": True}))
    member = await crew.member("coder-1")
    assert "yours are theirs" in await member.refusal(take_files, member="coder-2")
