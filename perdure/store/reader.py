"""The store as a command opens it: to read, and without making or changing a database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError

from perdure.errors import StoreError
from perdure.settings import Settings
from perdure.store.store import Store


def is_made(settings: Settings) -> bool:
    """Whether there may be something to read."""
    return settings.database_url is not None or (settings.home / "store.db").exists()


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Store]:
    """The open store; raises StoreError when there is none that can be read."""
    if not is_made(settings):
        message = (
            f"No run has been recorded in {settings.home} yet. Start one with"
            ' `starter.py run "TASK"`, or set PERDURE_HOME to the directory that has runs.'
        )
        raise StoreError(message)
    store = await Store.open(settings.store_url)
    try:
        await _probe(store)
        yield store
    finally:
        await store.close()


async def _probe(store: Store) -> None:
    try:
        await store.runs(1)
    except (DBAPIError, OSError) as error:
        url = store.engine.url.render_as_string(hide_password=True)
        cause = getattr(error, "orig", None) or error
        message = (
            f"The store {url} cannot be read: {cause}. Look at DATABASE_URL; a worker of this"
            " version brings the database up to date when it starts."
        )
        raise StoreError(message) from error
