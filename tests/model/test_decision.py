"""What a stored turn means for the workflow."""

import json
from typing import Any

import pytest

from perdure.contracts import AgentSpec, Usage
from perdure.model.decision import ANSWER_CHARACTERS, decide
from tests.model.turns import make_call, make_turn

SPEC = AgentSpec(name="a")
STRICT = AgentSpec(name="a", output_schema={"type": "object"})


def test_text_without_calls_is_the_answer() -> None:
    """Whole for the answer, its beginning for the thought."""
    decision = decide(make_turn("t1", thought=" It is 42. "), SPEC, closing=False)
    assert (decision.head, decision.answer, decision.thought) == ("t1", "It is 42.", "It is 42.")
    assert decision.problem is None
    assert decision.usage == Usage(input_tokens=1, output_tokens=1, cost_usd=None)


def test_text_is_no_answer_where_an_output_is_asked_for() -> None:
    """It is told to finish with one; last words are taken as they are."""
    turn = make_turn(thought="It is 42.")
    asked = decide(turn, STRICT, closing=False)
    assert asked.answer is None
    assert asked.problem is not None
    assert "finish" in asked.problem
    assert decide(turn, STRICT, closing=True).answer == "It is 42."


def test_a_problem_is_passed_on() -> None:
    """A reply of no use is neither an answer nor a call."""
    decision = decide(make_turn(thought="Half", problem="Cut off."), SPEC, closing=False)
    assert (decision.problem, decision.answer, decision.calls) == ("Cut off.", None, ())


def test_last_words_that_were_cut_off_are_better_than_none() -> None:
    """With nothing said at all the problem stays."""
    half = decide(make_turn(thought="Half", problem="Cut off."), SPEC, closing=True)
    assert (half.answer, half.problem) == ("Half", None)
    none = decide(make_turn(problem="Empty."), SPEC, closing=True)
    assert (none.answer, none.problem) == (None, "Empty.")


@pytest.mark.parametrize(
    ("tool", "arguments", "summary"),
    [
        ("read_file", {"path": "a.txt", "limit": 3}, "read_file: a.txt"),
        ("list_files", {}, "list_files"),
        ("x", {"a": "two\n  lines"}, "x: two lines"),
        ("x", {"a": "y" * 100}, "x: " + "y" * 60),
        ("x", {"a": [1, 2]}, "x: [1, 2]"),
    ],
)
def test_a_call_is_summed_up_by_its_first_argument(
    tool: str, arguments: dict[str, Any], summary: str
) -> None:
    """A line for the Web UI; the arguments themselves stay in the store."""
    turn = make_turn("t", make_call("c", tool, json.dumps(arguments)))
    (call,) = decide(turn, SPEC, closing=False).calls
    assert (call.id, call.tool, call.summary, call.arguments) == ("c", tool, summary, None)


def test_a_control_tool_brings_its_arguments() -> None:
    """The workflow carries it out; a long answer is cut to what a history can hold."""
    answer = "x" * 2 * ANSWER_CHARACTERS
    turn = make_turn(
        "t",
        make_call("a", "wait", '{"seconds": 5}'),
        make_call("b", "finish", json.dumps({"answer": answer})),
    )
    wait, finish = decide(turn, SPEC, closing=False).calls
    assert wait.arguments == {"seconds": 5}
    assert finish.arguments is not None
    assert ANSWER_CHARACTERS < len(finish.arguments["answer"]) < ANSWER_CHARACTERS + 100


LONG = "  Build\nthe schema. " + "x" * 15_000
BEGINNING = ("Build the schema. " + "x" * 15_000)[:200]


@pytest.mark.parametrize(
    ("tool", "arguments", "carried", "summary"),
    [
        (
            "send_message",
            {"text": LONG, "to": "coder-2", "files": ["a.py"]},
            {"text": BEGINNING, "to": "coder-2", "files": ["a.py"]},
            "send_message: coder-2",
        ),
        (
            "delegate",
            {"task": LONG, "agent": "coder", "share": 0.2},
            {"task": BEGINNING, "agent": "coder", "share": 0.2},
            "delegate: coder",
        ),
        (
            "assign",
            {"tasks": [{"id": "a", "task": LONG, "to": "coder", "depends_on": ["b"]}] * 3},
            {"tasks": [{"id": "a", "task": BEGINNING, "to": "coder", "depends_on": ["b"]}] * 3},
            "assign: 3 tasks",
        ),
        (
            "assign",
            {"tasks": [{"id": "a", "task": "Short.", "to": "coder"}]},
            {"tasks": [{"id": "a", "task": "Short.", "to": "coder"}]},
            "assign: 1 task",
        ),
        ("list_tasks", {}, {}, "list_tasks"),
        (
            "wait_for_tasks",
            {"seconds": 5, "tasks": ["a", "b"]},
            {"seconds": 5, "tasks": ["a", "b"]},
            "wait_for_tasks: a, b",
        ),
        ("cancel_tasks", {"tasks": ["a"]}, {"tasks": ["a"]}, "cancel_tasks: a"),
    ],
)
def test_long_texts_for_others_stay_in_the_store(
    tool: str, arguments: dict[str, Any], carried: dict[str, Any], summary: str
) -> None:
    """The history has their beginning on one line, and whole what the workflow acts by."""
    turn = make_turn("t", make_call("c", tool, json.dumps(arguments)))
    (call,) = decide(turn, SPEC, closing=False).calls
    assert (call.arguments, call.summary) == (carried, summary)


def test_the_tasks_of_a_large_team_stay_small() -> None:
    """A hundred tasks at once are 1.6 MB in the store, and a few KB in the history."""
    tasks = [{"id": f"t{number}", "task": "x" * 16_000, "to": "coder"} for number in range(100)]
    turn = make_turn("t", make_call("c", "assign", json.dumps({"tasks": tasks})))
    assert len(decide(turn, SPEC, closing=False).model_dump_json()) < 30_000


def test_a_call_that_cannot_be_carried_out_brings_the_reason_alone() -> None:
    """Its arguments may not even be JSON."""
    turn = make_turn("t", make_call("c", "finish", "{", problem="Not JSON."))
    (call,) = decide(turn, SPEC, closing=False).calls
    assert (call.problem, call.arguments, call.summary) == ("Not JSON.", None, "finish")


def test_the_decision_stays_small() -> None:
    """Of a reply of 3 MB it keeps 64 KB: an activity's result must never reach 2 MB."""
    arguments = json.dumps({"content": "x" * 3_000_000})
    thought = "y" * 3_000_000
    calling = make_turn("t", make_call("c", "write_file", arguments), thought=thought)
    assert len(decide(calling, SPEC, closing=False).model_dump_json()) < 1000
    saying = make_turn("t", thought=thought)
    assert len(decide(saying, SPEC, closing=False).model_dump_json()) < 70_000
