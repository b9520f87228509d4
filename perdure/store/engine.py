"""How the store's database is reached: SQLite in WAL mode, or PostgreSQL."""

from typing import Any

from sqlalchemy import event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from perdure.errors import StoreError

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


def create_engine(url: str) -> AsyncEngine:
    """An engine for `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        shown = url if "@" not in url else f"{url.partition(':')[0]}:…"  # it may hold a password
        message = (
            f"DATABASE_URL '{shown}' is not a database URL."
            " Write sqlite:///FILE or postgresql://USER@HOST/NAME."
        )
        raise StoreError(message) from None
    if parsed.drivername not in _DRIVERS:
        message = (
            f"DATABASE_URL names the database '{parsed.drivername}', which the store does not"
            " speak. Use sqlite:///FILE or postgresql://USER@HOST/NAME."
        )
        raise StoreError(message)
    parsed = parsed.set(drivername=_DRIVERS[parsed.drivername])
    if "sslmode" in parsed.query:  # what every provider writes, and asyncpg calls `ssl`
        query = {name.replace("sslmode", "ssl"): value for name, value in parsed.query.items()}
        parsed = parsed.set(query=query)
    engine = create_async_engine(parsed)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: DBAPIConnection, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 30000")
    cursor.execute("PRAGMA journal_mode = WAL")
    # FULL: a turn that Temporal was told of must be on disk even after a power cut,
    # or a run's head would point at nothing.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()
