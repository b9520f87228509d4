"""What holds a run up: effects that failed and are tried again."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError

_PATIENCE = timedelta(seconds=2)


class Troubles:
    """Told once each, however often they are seen."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    async def news(self, client: Client, workflow_id: str) -> list[str]:
        """What has gone wrong since the last call; nothing while the server cannot be asked."""
        try:
            handle = client.get_workflow_handle(workflow_id)
            run = await handle.describe(rpc_timeout=_PATIENCE)
        except RPCError:
            return []
        found = [
            f"{effect.activity_type.name} is tried again: {effect.last_failure.message}"
            for effect in run.raw_description.pending_activities
            if effect.last_failure.message
        ]
        new = [each for each in found if each not in self._told]
        self._told.update(new)
        return new
