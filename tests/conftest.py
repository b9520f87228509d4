"""What most tests stand on: a database of their own, on SQLite and on PostgreSQL."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import settings
from sqlalchemy import make_url

from perdure.store.migrate import migrate
from perdure.store.store import Store

pytest_plugins = ["perdure.testing.fixtures", "tests.engine"]

POSTGRES = "PERDURE_TEST_POSTGRES"

# A slow machine is no failure, and what one run tried is no business of the next.
settings.register_profile("perdure", deadline=None, database=None)
settings.load_profile("perdure")


@pytest_asyncio.fixture(scope="session")
async def postgres_session() -> AsyncIterator[str]:
    """The URL of a PostgreSQL database that is there for this session of tests only."""
    server = os.environ.get(POSTGRES)
    if server is None:
        pytest.skip(f"{POSTGRES} is not set: it is the URL of a PostgreSQL database")
    name = f"perdure_{uuid4().hex}"
    await _execute(server, f"CREATE DATABASE {name}")
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    await _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture
async def postgres_url(postgres_session: str) -> AsyncIterator[str]:
    """The URL of a PostgreSQL database that is empty, and is emptied after the test."""
    yield postgres_session
    # Much faster than a database a test; the time-out is for a transaction that was left open.
    emptied = "SET lock_timeout = '10s'; DROP SCHEMA public CASCADE; CREATE SCHEMA public"
    await _execute(postgres_session, emptied)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


async def _execute(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


@pytest_asyncio.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """An open store with this version's schema."""
    store = await Store.open(database_url)
    await migrate(store.engine)
    yield store
    await store.close()
