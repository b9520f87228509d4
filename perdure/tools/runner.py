"""Carrying out one tool call: once if it can be known, and never twice in silence."""

import logging
import time
from datetime import datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from perdure.contracts import ActInput, LiveOutput, Observation
from perdure.errors import OutcomeUnknown, PerdureError, ToolError
from perdure.sandbox.sandbox import Moved, Sandbox, SandboxLost
from perdure.sandbox.sandboxes import Sandboxes
from perdure.secrets import Secrets
from perdure.store.store import Store
from perdure.store.tables import StoredEntry, digest, id_of, now
from perdure.teams.room import Room
from perdure.tools.live import Live
from perdure.tools.registry import AnyTool, Registry
from perdure.tools.tool import ToolContext, as_text

RESULT_CHARACTERS = 1_000_000
"""How much of one result the store keeps."""
_PREVIEW_CHARACTERS = 120

logger = logging.getLogger(__name__)


class Runner:
    """Carries out calls of stored turns, and stores each result under the call's key."""

    def __init__(
        self, store: Store, registry: Registry, sandboxes: Sandboxes, secrets: Secrets
    ) -> None:
        self._store = store
        self._registry = registry
        self._sandboxes = sandboxes
        self._secrets = secrets
        self._live = Live(secrets)

    def printed(self, request: ActInput) -> LiveOutput | None:
        """What the call has printed so far, while it is under way."""
        return self._live.of(request.key)

    async def recall(self, request: ActInput) -> Observation | None:
        """The result that is stored under the request's key, if there is one."""
        entry = await self._store.entry(id_of("e", request.key))
        return _observation(entry) if entry else None

    async def act(self, request: ActInput) -> Observation:
        """Carry out the call and store its result, whatever it is.

        Raises:
            Moved: it has not begun, and is to be carried out elsewhere.
        """
        call = await self._call(request)
        began = time.monotonic()
        status, said = await self._outcome(request, call)
        text = self._secrets.mask(said)
        entry = StoredEntry(
            id=id_of("e", request.key),
            run_id=request.run,
            kind="result",
            call=request.call,
            tool=call["tool"],
            status=status,
            text=text[:RESULT_CHARACTERS],
            dropped=max(0, len(text) - RESULT_CHARACTERS),
            seconds=time.monotonic() - began,
        )
        return _observation(await self._store.keep(entry))

    async def stop(self, request: ActInput) -> None:
        """End what the cancelled call has begun in its sandbox."""
        await self._sandboxes.stop(request.place, request.key)

    async def _call(self, request: ActInput) -> dict[str, Any]:
        turn = await self._store.turn(request.turn)
        if turn is None:
            message = f"Turn '{request.turn}' is not in this worker's store. Look at DATABASE_URL."
            raise LookupError(message)
        return next(call for call in turn.calls if call["id"] == request.call)

    async def _outcome(self, request: ActInput, call: dict[str, Any]) -> tuple[str, str]:
        tool = self._registry.find(call["tool"])
        if tool is None:
            return "error", f"This worker has no tool '{call['tool']}' any more."
        try:
            sandbox = await self._sandboxes.at(_owner(request), request.place)
        except PerdureError as error:
            if await self._has_begun(request):
                return "unknown", as_text(_unknown_for_good(error))
            if isinstance(error, Moved):
                raise
            return "error", as_text(str(error))
        try:
            return await self._in_sandbox(sandbox, tool, request, call["arguments"])
        except SandboxLost:
            await self._sandboxes.forget(request.place, sandbox)
            raise

    async def _in_sandbox(
        self, sandbox: Sandbox, tool: AnyTool, request: ActInput, arguments: str
    ) -> tuple[str, str]:
        if tool.replay == "unsafe":
            at = {"at": now().isoformat()}
            earlier = await self._store.claim(_started(request), request.run, at)
            if earlier is not None:
                return "unknown", _unknown_outcome(earlier)
        with self._live.showing(request.key, request.call) as show:
            context = ToolContext(
                run=request.run,
                key=request.key,
                sandbox=sandbox,
                show=show,
                begin=lambda detail: self._store.claim(request.key, request.run, detail),
                room=Room.of(self._store, await self._store.run(request.run)),
            )
            status, text = await _carry_out(tool, context, arguments)
        # Those that only read change nothing; what an unsafe one has changed is in the next state.
        if tool.replay == "idempotent":
            text += await self._save(request, sandbox)
        return status, text

    async def _save(self, request: ActInput, sandbox: Sandbox) -> str:
        """Record the files; what to tell the model if that cannot be done, now or later."""
        owner, place = _owner(request), request.place
        try:
            await self._sandboxes.save(owner, place, sandbox, request.turn, request.key)
        except (PerdureError, ToolError) as error:
            logger.warning("The files of run %s were not recorded: %s", owner, error)
            return as_text(f"\n[The state of the files could not be recorded: {error}]")
        return ""

    async def _has_begun(self, request: ActInput) -> bool:
        claims = [await self._store.claimed(key) for key in (request.key, _started(request))]
        return any(claim is not None for claim in claims)


def _owner(request: ActInput) -> str:
    """The run whose files the call works on: a member's may be its team's."""
    return request.owner or request.run


def _started(request: ActInput) -> str:
    """The claim of an unsafe call, under a name of its own: the tool may claim its key."""
    return f"{request.key}:started"


async def _carry_out(tool: AnyTool, context: ToolContext, arguments: str) -> tuple[str, str]:
    try:
        return "ok", await tool.call(context, tool.check(arguments))
    except OutcomeUnknown as error:
        return "unknown", as_text(str(error))
    except (ToolError, PerdureError) as error:
        return "error", as_text(str(error))
    except (SQLAlchemyError, SandboxLost):  # ours, not the tool's: worth a retry
        raise
    except Exception as error:  # a tool is anybody's code: its failure is the model's to handle
        logger.warning("Tool %s failed", tool.name, exc_info=True)
        return "error", as_text(f"{tool.name} failed: {type(error).__name__}: {error}")


def _observation(entry: StoredEntry) -> Observation:
    preview = " ".join(entry.text[: 2 * _PREVIEW_CHARACTERS].split())[:_PREVIEW_CHARACTERS]
    return Observation.model_validate(
        {
            "result": entry.id,
            "status": entry.status,
            "preview": preview,
            "digest": digest(entry.status or "", entry.text),
        }
    )


def _unknown_outcome(earlier: dict[str, Any]) -> str:
    began = datetime.fromisoformat(earlier["at"])
    return (
        f"The outcome is unknown. The call began at {began:%H:%M:%S} UTC and the worker that ran it"
        " was lost before it could say how it ended; it was not repeated. Look whether it took"
        " effect before you try again."
    )


def _unknown_for_good(error: PerdureError) -> str:
    return (
        "The outcome is unknown. The call had begun, and its sandbox cannot be had any more:"
        f" {error} It was not repeated. Look whether it took effect before you try again."
    )
