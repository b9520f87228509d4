"""What crosses the workflow boundary: plain JSON in, plain JSON out, nonsense refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from perdure.contracts import (
    AgentRequest,
    AgentResult,
    AgentSpec,
    Decision,
    Limits,
    Message,
    RunStatus,
    Usage,
)

USAGES = st.builds(
    Usage,
    input_tokens=st.integers(0, 10**9),
    output_tokens=st.integers(0, 10**9),
    cost_usd=st.none() | st.integers(0, 1000).map(float),
)


def test_a_request_needs_only_a_task() -> None:
    """Everything else has a default."""
    request = AgentRequest.model_validate_json('{"task": "Do it."}')
    assert (request.agent, request.model, request.limits) == ("assistant", None, Limits())


@pytest.mark.parametrize(
    ("request_", "place"),
    [
        ({}, "task"),
        ({"task": ""}, "task"),
        ({"task": 3}, "task"),
        ({"task": "x" * 500_001}, "task"),
        ({"task": "x", "agnet": "a"}, "agnet"),
        ({"task": "x", "limits": {"max_stesp": 3}}, "max_stesp"),
        ({"task": "x", "limits": {"max_steps": 0}}, "max_steps"),
        ({"task": "x", "limits": {"max_cost_usd": -1}}, "max_cost_usd"),
        ({"task": "x", "limits": {"max_minutes": "soon"}}, "max_minutes"),
        ({"task": "x", "agent": {"name": "a/b"}}, "name"),
        ({"task": "x", "agent": {"name": "a\n"}}, "name"),
        ({"task": "x", "agent": {"name": ""}}, "name"),
    ],
)
def test_a_wrong_request_names_the_field(request_: dict[str, Any], place: str) -> None:
    """A field that we do not know is an error as well: it was meant to do something."""
    with pytest.raises(ValidationError) as caught:
        AgentRequest.model_validate_json(json.dumps(request_))
    assert any(place in error["loc"] for error in caught.value.errors())


@pytest.mark.parametrize("field", ["max_minutes", "max_cost_usd"])
@pytest.mark.parametrize("value", ["Infinity", "NaN", "1e999"])
def test_a_limit_is_a_number(field: str, value: str) -> None:
    """JSON parsers let these through; a workflow that computes with them would be stuck."""
    with pytest.raises(ValidationError):
        Limits.model_validate_json(f'{{"{field}": {value}}}')


def test_a_limit_of_time_can_be_computed_with() -> None:
    """Python's time spans end at some point, and no run lives so long."""
    with pytest.raises(ValidationError):
        Limits(max_minutes=1e300)


def test_our_own_messages_may_come_from_a_newer_version() -> None:
    """Workers of two versions run side by side while one replaces the other."""
    decision = Decision.model_validate({"head": "t", "from_the_future": 1})
    assert decision.head == "t"


def test_a_message_needs_words() -> None:
    """An empty one would wake an agent for nothing."""
    for text in ("", "x" * 32_001):
        with pytest.raises(ValidationError):
            Message(text=text)


def test_contracts_cannot_be_changed() -> None:
    """What was recorded stays as it was."""
    with pytest.raises(ValidationError):
        Limits().max_steps = 3  # type: ignore[misc] # this is what must fail


def test_open_limits_are_taken_from_the_defaults() -> None:
    """Each by itself."""
    limits = Limits(max_steps=3).over(Limits(max_steps=50, max_tokens=9))
    assert limits == Limits(max_steps=3, max_tokens=9)


@given(USAGES, USAGES, USAGES)
def test_usage_adds_up_in_any_order(one: Usage, two: Usage, three: Usage) -> None:
    """One unknown cost makes the sum unknown."""
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert one + Usage() == one
    assert (one + two).tokens == one.tokens + two.tokens
    assert ((one + two).cost_usd is None) == (None in {one.cost_usd, two.cost_usd})


def test_a_status_is_final_or_not() -> None:
    """Those that a run can still leave are three."""
    assert {status for status in RunStatus if not status.is_final} == {
        RunStatus.RUNNING,
        RunStatus.PAUSED,
        RunStatus.WAITING,
    }


def test_a_result_survives_json() -> None:
    """What another service reads is what the run said."""
    result = AgentResult(
        status=RunStatus.OUT_OF_STEPS, answer="é", head=None, steps=3, usage=Usage(cost_usd=None)
    )
    assert AgentResult.model_validate_json(result.model_dump_json()) == result
    assert json.loads(result.model_dump_json())["status"] == "out_of_steps"


def test_an_agent_has_every_tool_unless_it_names_some() -> None:
    """None and an empty list are different."""
    assert AgentSpec(name="a").tools is None
    assert AgentSpec(name="a", tools=()).tools == ()
