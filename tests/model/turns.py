"""Turns and entries for tests, with only what matters filled in."""

from typing import Any

from perdure.contracts import AgentSpec
from perdure.store.tables import Run, StoredEntry, Turn


def make_turn(id: str = "t", *calls: dict[str, Any], **fields: Any) -> Turn:
    """A root turn with these calls, unless `fields` say otherwise."""
    given: dict[str, Any] = {"run_id": "run", "parent_id": None, "step": 1, "thought": ""}
    more = {"entries": [], "calls": list(calls), "characters": 0, "model": "m", "cost_usd": None}
    counts = {"finish_reason": "stop", "input_tokens": 1, "output_tokens": 1, "seconds": 0.0}
    return Turn(**({"id": id} | given | more | counts | fields))


def make_call(
    id: str = "c", tool: str = "read_file", arguments: str = "{}", problem: str | None = None
) -> dict[str, Any]:
    """A call as a turn keeps it."""
    return {"id": id, "tool": tool, "arguments": arguments, "problem": problem}


def make_result(call: str = "c", text: str = "done", **fields: Any) -> StoredEntry:
    """The result of that call."""
    given = {"id": f"e-{call}", "run_id": "run", "kind": "result", "call": call, "status": "ok"}
    return StoredEntry(**(given | {"text": text} | fields))


def make_entry(text: str, kind: str = "notice", id: str = "e") -> StoredEntry:
    """Something else that the model is shown."""
    return StoredEntry(id=id, run_id="run", kind=kind, text=text)


def make_run(id: str = "run", **spec: Any) -> Run:
    """A run of an agent with this `spec`."""
    agent = AgentSpec(name="a", **spec).model_dump(mode="json")
    return Run(id=id, workflow_id=f"agent-{id}", agent="a", model="m", spec=agent, task="task")
