"""The small-model profile: what makes a model of 135 million parameters call our tools.

benchmarks/local_model.py measures it, and half of its writes and reads fail with words that the
profile was not tuned on. Other numbers of examples, a thought before the call and a
higher temperature did worse; without examples hardly a task succeeded. The model manages one tool
and then `finish`, not three steps in a row.
"""

import json
from typing import Any

TOOLS = ("write_file", "read_file", "list_files", "finish")
TEMPERATURE = 0.0
INSTRUCTIONS = "You finish tasks with tools."

Message = dict[str, Any]
Example = tuple[str, tuple[str, Message], str, str]
"""Task, call, its result, final answer."""

_EXAMPLES: tuple[Example, ...] = (
    (
        "Create food.txt with the text green tea.",
        ("write_file", {"path": "food.txt", "content": "green tea"}),
        "Wrote 9 characters to food.txt.",
        "food.txt created",
    ),
    (
        "Read song.md and report the text.",
        ("read_file", {"path": "song.md"}),
        "la la",
        "la la",
    ),
    (
        "List the files.",
        ("list_files", {}),
        "cat.png\ndog.txt",
        "cat.png, dog.txt",
    ),
    (
        "Create b.csv with the text 7.",
        ("write_file", {"path": "b.csv", "content": "7"}),
        "Wrote 1 characters to b.csv.",
        "b.csv created",
    ),
)


def example_messages() -> list[Message]:
    """The worked examples as ordinary messages: they go between instructions and task."""
    return [
        message
        for number, example in enumerate(_EXAMPLES)
        for message in _messages(f"example_{number}", *example)
    ]


def _messages(
    name: str, task: str, call: tuple[str, dict[str, Any]], result: str, answer: str
) -> list[Message]:
    return [
        {"role": "user", "content": task},
        _call(f"{name}_act", *call),
        {"role": "tool", "tool_call_id": f"{name}_act", "content": result},
        _call(f"{name}_finish", "finish", {"answer": answer}),
        {"role": "tool", "tool_call_id": f"{name}_finish", "content": "ok"},
    ]


def _call(id_: str, tool: str, arguments: dict[str, Any]) -> Message:
    function = {"name": tool, "arguments": json.dumps(arguments)}
    call = {"id": id_, "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}
