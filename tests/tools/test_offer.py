"""Which tools a run is offered: by its agent, its model, and its place in a team."""

import pytest

from perdure.contracts import (
    ASSIGN,
    CANCEL_TASKS,
    DELEGATE,
    FINISH,
    LEADS_TOOLS,
    LIST_TASKS,
    SEND_MESSAGE,
    WAIT,
    AgentSpec,
    Seat,
)
from perdure.errors import PerdureError
from perdure.tools.offer import offers
from perdure.tools.registry import Registry
from perdure.tools.tool import tool


@tool(replay="safe")
def look() -> str:
    """Look."""
    return "seen"


@tool(replay="idempotent", needs_team=True)
def note(text: str) -> str:
    """Write a note."""
    return text


REGISTRY = Registry([look, note])
MEMBER = Seat(member="coder-2", kind="coder", task="schema")
LEAD = Seat(member="architect", kind="architect", is_lead=True)


def _offered(
    *tools: str, seat: Seat | None = None, allowed: tuple[str, ...] | None = None
) -> list[str]:
    """By an agent that names these tools."""
    return list(offers(REGISTRY, AgentSpec(name="a", tools=tools), allowed, seat))


def test_an_agent_that_names_no_tools_has_all_but_those_of_teams() -> None:
    """Nor may it delegate, which spends its budget: that one is given by name only."""
    assert list(offers(REGISTRY, AgentSpec(name="a"), None)) == ["look", WAIT, FINISH]


def test_an_agent_delegates_that_names_it() -> None:
    """Alone or in a team."""
    assert _offered("look", DELEGATE) == ["look", WAIT, DELEGATE, FINISH]
    assert DELEGATE in _offered(DELEGATE, seat=MEMBER)


@pytest.mark.parametrize("names", [("note",), ("n*",), (SEND_MESSAGE, ASSIGN)])
def test_tools_of_teams_are_kept_from_a_lone_run(names: tuple[str, ...]) -> None:
    """An agent that names them works alone as well, without them."""
    assert _offered(*names) == [WAIT, FINISH]


def test_a_member_has_the_tools_of_teams_whatever_its_agent_names() -> None:
    """Each once, and none of those that are the lead's."""
    expected = ["look", "note", WAIT, SEND_MESSAGE, FINISH]
    assert _offered("look", seat=MEMBER) == expected
    assert _offered("note", "look", seat=MEMBER) == expected
    assert list(offers(REGISTRY, AgentSpec(name="a"), None, MEMBER)) == expected


def test_a_lead_has_the_ledger_besides() -> None:
    """To assign tasks, and to see what becomes of them."""
    assert _offered(seat=LEAD) == ["note", WAIT, SEND_MESSAGE, *LEADS_TOOLS, FINISH]


def test_a_model_that_copes_with_few_tools_is_offered_no_others() -> None:
    """But `finish` always: without it no run could end."""
    assert _offered("look", DELEGATE, allowed=("look",)) == ["look", FINISH]
    assert _offered("look", seat=LEAD, allowed=("look",)) == ["look", FINISH]
    few = (LIST_TASKS, CANCEL_TASKS)
    assert _offered("look", seat=LEAD, allowed=few) == [*few, FINISH]
    assert _offered("look", seat=MEMBER, allowed=few) == [FINISH]


def test_an_unknown_tool_is_still_refused() -> None:
    """In a team too."""
    with pytest.raises(PerdureError, match="Tool 'loook' is unknown. Did you mean 'look'"):
        _offered("loook", seat=MEMBER)
