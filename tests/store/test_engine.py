"""Which database URLs are understood, and how SQLite is set up."""

from pathlib import Path

import pytest
from sqlalchemy import text

from perdure.errors import StoreError
from perdure.store.engine import create_engine


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:///runs.db", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:///runs.db", "sqlite+aiosqlite"),
        ("postgres://me@host/runs", "postgresql+asyncpg"),
        ("postgresql://me:secret@host:5433/runs", "postgresql+asyncpg"),
        ("postgresql+asyncpg://me@host/runs", "postgresql+asyncpg"),
    ],
)
def test_every_common_form_is_understood(url: str, driver: str) -> None:
    """What providers call postgres or postgresql is one thing; the rest of the URL stays."""
    engine = create_engine(url)
    assert engine.url.drivername == driver
    assert engine.url.database in {"runs.db", "runs"}


def test_sslmode_is_understood() -> None:
    """Hosted databases come with `sslmode=require`, which the driver calls `ssl`."""
    engine = create_engine("postgresql://me@host/runs?sslmode=require&timeout=5")
    assert dict(engine.url.query) == {"ssl": "require", "timeout": "5"}


@pytest.mark.parametrize("url", ["", "runs.db", "postgresql://me@host:port/runs", "://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    """The sentence shows the value and the two forms that work."""
    with pytest.raises(StoreError, match=r"is not a database URL\. Write sqlite:///FILE or"):
        create_engine(url)


@pytest.mark.parametrize("scheme", ["mysql", "mongodb", "postgresql+psycopg2", "sqlite+pysqlite"])
def test_other_databases_are_refused(scheme: str) -> None:
    """The sentence names the scheme and the ones that work."""
    with pytest.raises(StoreError, match=r"does not speak\. Use sqlite:///FILE or") as caught:
        create_engine(f"{scheme}://me@host/runs")
    assert f"'{scheme}'" in str(caught.value)


async def test_sqlite_keeps_what_it_committed_and_waits_for_others(tmp_path: Path) -> None:
    """Write-ahead log for many readers, full flushes for a power cut, patience for a lock."""
    engine = create_engine(f"sqlite:///{tmp_path / 'a folder with spaces & #.db'}")
    async with engine.connect() as connection:
        found = [
            await connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "busy_timeout")
        ]
    await engine.dispose()
    assert found == ["wal", 2, 30_000]
