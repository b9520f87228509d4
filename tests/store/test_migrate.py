"""Bringing a database to this version's schema, or saying why it cannot be."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlmodel import SQLModel

from perdure.errors import StoreError
from perdure.store import migrations
from perdure.store.migrate import migrate
from perdure.store.store import Store

_SCRIPTS = Path(migrations.__file__).parent
_EARLIER_RUN = """
INSERT INTO run (id, workflow_id, agent, model, spec, task, created_at)
VALUES ('run', 'agent-1', 'a', 'm', '{}', 'a task', :at)
"""

_MIGRATE = """
import asyncio, sys
from perdure.store.migrate import migrate
from perdure.store.store import Store

async def main():
    store = await Store.open(sys.argv[1])
    sys.stdin.readline()
    await migrate(store.engine)
    await store.close()

asyncio.run(main())
"""


async def test_the_schema_is_that_of_the_tables(store: Store) -> None:
    """Migrations and SQLModel agree on every table, column, type and index."""

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return list(compare_metadata(context, SQLModel.metadata))

    async with store.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_what_an_earlier_version_stored_is_kept(database_url: str) -> None:
    """A database of the schema before teams has its runs still, which belong to none."""
    store = await Store.open(database_url)

    def make(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(_SCRIPTS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(text(_EARLIER_RUN), {"at": datetime(2026, 1, 1, tzinfo=UTC)})

    async with store.engine.begin() as connection:
        await connection.run_sync(make)
    await migrate(store.engine)
    (found,) = await store.runs(limit=9, tops=True)
    assert (found.run.task, found.run.parent, found.run.team) == ("a task", None, None)
    await store.close()


async def test_migrating_twice_changes_nothing(store: Store) -> None:
    """A worker that starts later finds the work done."""
    await migrate(store.engine)
    assert await store.runs(limit=1) == []


async def test_processes_that_migrate_at_once_all_succeed(database_url: str) -> None:
    """Of workers that start together one makes the tables and the others wait for it."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", _MIGRATE, database_url, stdin=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [process.returncode for process in processes] == [0, 0, 0]


async def test_stores_that_migrate_at_once_all_succeed(database_url: str) -> None:
    """The same within one process, where the race is closer."""
    stores = [await Store.open(database_url) for _ in range(8)]
    await asyncio.gather(*(migrate(store.engine) for store in stores))
    assert await stores[0].runs(limit=1) == []
    for store in stores:
        await store.close()


async def test_a_database_of_a_newer_version_is_left_alone(store: Store) -> None:
    """The sentence names the schema and both ways out."""
    async with store.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"schema '9999', made by a newer.*Upgrade Perdure, or"):
        await migrate(store.engine)
    async with store.engine.connect() as connection:
        assert await connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


async def _refusal(url: str) -> str:
    store = await Store.open(url)
    with pytest.raises(StoreError) as caught:
        await migrate(store.engine)
    await store.close()
    return str(caught.value)


async def test_an_unreachable_server_is_named_without_its_password() -> None:
    """Whoever reads the log learns the address and the cause, and no secret."""
    message = await _refusal("postgresql://me:secret@127.0.0.1:1/runs")
    assert "me:***@127.0.0.1:1/runs" in message
    assert "127.0.0.1" in message
    assert "DATABASE_URL" in message
    assert "secret" not in message


async def test_a_database_that_does_not_exist_is_named(database_url: str) -> None:
    """PostgreSQL's own words for it, and SQLite's for a folder that is not there."""
    message = await _refusal(f"{database_url}/none")
    assert "cannot be opened" in message
    assert "DATABASE_URL" in message


async def test_an_option_that_the_driver_does_not_know_is_named() -> None:
    """A URL copied from elsewhere fails with a sentence, not with a traceback."""
    assert "argument 'nonsense'" in await _refusal("postgresql://me@127.0.0.1:1/runs?nonsense=1")


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    """A path that was mistyped does not cost its file."""
    file = tmp_path / "notes.txt"
    file.write_text("These are my notes, and nothing must happen to them. " * 50)
    before = file.read_bytes()
    assert "file is not a database" in await _refusal(f"sqlite:///{file}")
    assert file.read_bytes() == before


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    """SQLite cannot open it, and the sentence says which."""
    assert str(tmp_path) in await _refusal(f"sqlite:///{tmp_path}")
