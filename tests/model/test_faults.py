"""What is wrong with the calls of a reply."""

import json

from perdure.contracts import AgentSpec, Seat
from perdure.model.faults import checked
from perdure.model.reply import RequestedCall
from perdure.tools.files import TOOLS
from perdure.tools.offer import offers
from perdure.tools.registry import Registry

LEAD = Seat(member="architect", kind="architect", is_lead=True)
OFFERED = offers(Registry(TOOLS), AgentSpec(name="a"), None, LEAD)


def _call(id: str, tool: str, **arguments: object) -> RequestedCall:
    return RequestedCall(id, tool, json.dumps(arguments))


def test_a_call_is_kept_as_the_model_wrote_it() -> None:
    """Its own text, with nothing wrong or with what is."""
    good, bad = _call("a", "read_file", path="x"), _call("b", "fly")
    kept = checked([good, bad], OFFERED)
    assert kept[0] == {
        "id": "a",
        "tool": "read_file",
        "arguments": '{"path": "x"}',
        "problem": None,
    }
    assert kept[1]["problem"].startswith("Tool 'fly' is unknown. The tools are: read_file, ")


def test_a_fault_is_told_in_few_words() -> None:
    """Whatever the model sent."""
    tasks = [{"id": "A" * 100, "task": "a", "to": "b"}] * 100
    (kept,) = checked([_call("a", "assign", tasks=tasks)], OFFERED)
    assert "$.tasks[0].id" in kept["problem"]
    assert len(kept["problem"]) < 1_100


def test_the_control_tools_of_one_reply_share_what_a_history_can_bear() -> None:
    """Those that fit are carried out; other tools' arguments stay in the store."""
    writing = _call("w", "write_file", path="a", content="x" * 300_000)
    many = [_call(str(number), "wait", seconds=1, reason="x" * 90_000) for number in range(3)]
    kept = checked([writing, *many, _call("f", "finish", answer="x")], OFFERED)
    assert [each["problem"] is None for each in kept] == [True, True, True, False, False]
    assert "Do less at once." in kept[3]["problem"]
    assert "finish with its path." in kept[4]["problem"]
