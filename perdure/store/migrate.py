"""Bringing the database to this version's schema, once, however many workers start together."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from perdure.errors import StoreError

_SCRIPTS = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME = asyncio.Lock()
"""Alembic keeps what it works on in globals of the process."""
_ADVISORY_LOCK = 7_310_517_083  # any number, as long as it is always the same


async def migrate(engine: AsyncEngine) -> None:
    """Apply what is missing; raises StoreError for a database from a newer version of Perdure."""
    try:
        async with _ONE_AT_A_TIME, engine.connect() as connection:
            await connection.run_sync(_upgrade)
            await connection.commit()
    except StoreError:
        raise
    except Exception as error:
        # Each driver has errors of its own for a wrong password, a missing database, a file that
        # is none, an option it does not know; to whoever starts a worker they are one thing.
        raise StoreError(_unreachable(engine, error)) from error


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    _lock_out_others(connection)
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        message = (
            f"The database has schema '{current}', made by a newer version of Perdure."
            " Upgrade Perdure, or point DATABASE_URL at another database."
        )
        raise StoreError(message)
    command.upgrade(config, "head")


def _lock_out_others(connection: Connection) -> None:
    """Held until the transaction ends: the second of two workers finds the work done."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("BEGIN IMMEDIATE"))
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})


def _unreachable(engine: AsyncEngine, error: Exception) -> str:
    url = engine.url.render_as_string(hide_password=True)
    cause = getattr(error, "orig", None) or error
    return f"The database {url} cannot be opened: {cause}. Look at DATABASE_URL and PERDURE_HOME."
