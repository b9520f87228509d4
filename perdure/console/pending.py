"""What a run's effects say while they are under way: their output, and what holds them up."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.service import RPCError

from perdure.contracts import LiveOutput

_PATIENCE = timedelta(seconds=2)


class Pending:
    """The news of one run's pending effects, each told once."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._printed: dict[str, int] = {}

    async def news(self, client: Client, workflow_id: str) -> list[str]:
        """What has come since the last call; nothing while the server cannot be asked."""
        try:
            handle = client.get_workflow_handle(workflow_id)
            run = await handle.describe(rpc_timeout=_PATIENCE)
        except RPCError:
            return []
        effects = run.raw_description.pending_activities
        return [*self._troubles(effects), *[line async for line in self._output(client, effects)]]

    def _troubles(self, effects: Iterable[Any]) -> list[str]:
        found = [
            f"{effect.activity_type.name} is tried again: {effect.last_failure.message}"
            for effect in effects
            if effect.last_failure.message
        ]
        new = [each for each in found if each not in self._told]
        self._told.update(new)
        return new

    async def _output(self, client: Client, effects: Iterable[Any]) -> Any:
        for effect in effects:
            if effect.activity_type.name == "act" and effect.heartbeat_details.payloads:
                payloads = effect.heartbeat_details.payloads
                (live,) = await client.data_converter.decode(payloads, [LiveOutput])
                if text := self._fresh(live):
                    yield text

    def _fresh(self, live: LiveOutput) -> str:
        """What the call has printed since it was last looked at, as far as it is still known."""
        new = live.total - self._printed.get(live.call, 0)
        self._printed[live.call] = live.total
        tail = live.tail.encode()
        gap = "… " if new > len(tail) else ""
        text = gap + tail[-new:].decode(errors="ignore").rstrip("\n") if new > 0 else ""
        return "\n".join(f"  │ {line}" for line in text.splitlines())
