"""The control tools by which agents work together; a team or the run itself carries them out."""

from collections.abc import Sequence
from typing import Any

from perdure import contracts
from perdure.tools.control import SECONDS, ControlTool, arguments_schema

LONGEST_TEXT = 16_000
"""Characters of a message or a task."""
MOST_TASKS = 100
"""That one call assigns."""

_LONGEST_NAME = 64
_MOST_FILES = 20
_LONGEST_PATH = 400
_MOST_DEPENDENCIES = 50
_MOST_IDS = 200
_BOUNDS = frozenset({"pattern", "minLength", "maxLength", "minItems", "maxItems"})


def _tool(
    name: str, description: str, properties: dict[str, Any], required: Sequence[str] = ()
) -> ControlTool:
    bounds = arguments_schema(properties, required=required)
    return ControlTool(name, description, _told(bounds), bounds)


def _told(schema: Any) -> Any:
    """`schema` without its bounds: llama.cpp's server refuses all tools for one long bound.

    Its grammars count every repetition, to 2,000 (ggml-org/llama.cpp issue 25923).
    """
    if isinstance(schema, list):
        return [_told(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _told(each) for key, each in schema.items() if key not in _BOUNDS}


def _name(description: str) -> dict[str, Any]:
    return _string(description, maxLength=_LONGEST_NAME, pattern=r"\S")


def _text(description: str) -> dict[str, Any]:
    told = f"{description} At most {LONGEST_TEXT:,} characters."
    return _string(told, maxLength=LONGEST_TEXT, pattern=r"\S")


def _string(description: str, **bounds: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **bounds}


_ID = {"type": "string", "pattern": r"^[a-z0-9][a-z0-9_-]{0,39}\Z"}
_PATH = {"type": "string", "minLength": 1, "maxLength": _LONGEST_PATH}


def _ids(description: str, *, least: int = 1, most: int = _MOST_IDS) -> dict[str, Any]:
    return {
        "type": "array",
        "items": _ID,
        "description": description,
        "minItems": least,
        "maxItems": most,
    }


DELEGATE = _tool(
    contracts.DELEGATE,
    "Have another agent do a task; its answer is the result of this call. It sees nothing of what"
    " you know but the task. Several calls in one reply run at the same time.",
    {
        "agent": _name("The agent's name."),
        "task": _text("The whole task, with all that is needed for it."),
        "share": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 1,
            "description": "Part of your remaining budget that it may spend, such as 0.2. By"
            " default all that are delegated to in one reply and you yourself get equal parts.",
        },
    },
    ["agent", "task"],
)

SEND_MESSAGE = _tool(
    contracts.SEND_MESSAGE,
    "Send a message to a colleague in your team, who reads it before the next step.",
    {
        "to": _name("The colleague's name, such as coder-2."),
        "text": _text("The message."),
        "files": {
            "type": "array",
            "items": _PATH,
            "description": "Paths in your workspace that the colleague may take with take_files."
            f" At most {_MOST_FILES}; name a folder for more.",
            "maxItems": _MOST_FILES,
        },
    },
    ["to", "text"],
)

_TASK = arguments_schema(
    {
        "id": _ID
        | {"description": "A short name: a-z, 0-9, - and _, at most 40, such as api-tests."},
        "task": _text("The whole task; the member sees nothing else of what you know."),
        "to": _name(
            "A kind of members, such as coder: the next of them who is free takes it. Or one"
            " member, such as coder-2."
        ),
        "depends_on": _ids(
            "Ids of tasks that must be done before, whose results this one builds on; at most"
            f" {_MOST_DEPENDENCIES}.",
            least=0,
            most=_MOST_DEPENDENCIES,
        ),
    },
    required=["id", "task", "to"],
)

ASSIGN = _tool(
    contracts.ASSIGN,
    "Assign tasks to your team. A task begins when all that it depends on are done and a member"
    " that it is for is free. All of a call's tasks are taken, or none.",
    {
        "tasks": {
            "type": "array",
            "items": _TASK,
            "description": f"At most {MOST_TASKS}.",
            "minItems": 1,
            "maxItems": MOST_TASKS,
        }
    },
    ["tasks"],
)

LIST_TASKS = _tool(
    contracts.LIST_TASKS,
    "See how your team's tasks stand.",
    {"tasks": _ids("Ids of tasks whose whole results you want; name few, for long ones are cut.")},
)

WAIT_FOR_TASKS = _tool(
    contracts.WAIT_FOR_TASKS,
    "Wait until tasks have ended: done, failed or cancelled.",
    {"tasks": _ids("Their ids; by default all."), "seconds": SECONDS},
)

CANCEL_TASKS = _tool(
    contracts.CANCEL_TASKS,
    "Cancel tasks: one that is being worked on is stopped, and those that depend on it are"
    " cancelled as well.",
    {"tasks": _ids("Their ids.")},
    ["tasks"],
)

MEMBERS = (SEND_MESSAGE,)
LEADS = (ASSIGN, LIST_TASKS, WAIT_FOR_TASKS, CANCEL_TASKS)
"""What every member of a team is offered, and what its lead is offered besides."""
