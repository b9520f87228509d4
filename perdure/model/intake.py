"""What a think shows the model that it has not seen yet."""

from collections.abc import Sequence

from perdure.contracts import Entry, ThinkInput
from perdure.errors import StoreError
from perdure.model.quotes import Quotes
from perdure.store.store import Store
from perdure.store.tables import StoredEntry, Turn, id_of


class Intake:
    """Makes stored entries of those that a workflow gives."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._quotes = Quotes(store)

    async def take_in(
        self, request: ThinkInput, past: Sequence[Turn], *, lists_tasks: bool
    ) -> tuple[list[StoredEntry], list[StoredEntry]]:
        """What the request shows the model, and what of it is not stored yet.

        An entry with a key is left out where `past` has shown it.

        Raises:
            StoreError: an entry, or what one quotes, is not in this worker's store.
        """
        ids = [_id(request, index) for index in range(len(request.entries))]
        stored = await self._stored(request.entries, ids)
        seen = {id for turn in past for id in turn.entries}
        shown: dict[str, StoredEntry] = {}
        for id, entry in zip(ids, request.entries, strict=True):
            if entry.key is not None and id in seen:
                continue
            shown[id] = stored.get(id) or StoredEntry(
                id=id,
                run_id=request.run,
                kind=entry.kind,
                call=entry.call,
                status="ok" if entry.kind == "result" else None,
                text=await self._quotes.written_out(entry, lists_tasks=lists_tasks),
            )
        return list(shown.values()), [row for id, row in shown.items() if id not in stored]

    async def _stored(self, entries: Sequence[Entry], ids: Sequence[str]) -> dict[str, StoredEntry]:
        """Those that may be there already."""
        stored = await self._store.entries(
            id for id, entry in zip(ids, entries, strict=True) if entry.id or entry.key
        )
        if missing := {entry.id for entry in entries if entry.id} - stored.keys():
            message = (
                f"Entry '{min(missing)}' is not in this worker's store. Give every worker the same"
                " DATABASE_URL."
            )
            raise StoreError(message)
        return stored


def _id(request: ThinkInput, index: int) -> str:
    """The entry's id: that of the workflow's own words is one that a retry computes again."""
    entry = request.entries[index]
    if entry.id is not None:
        return entry.id
    return id_of("e", f"entry:{entry.key}" if entry.key else f"{request.key}:{index}")
