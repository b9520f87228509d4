"""A tree of runs as Mermaid."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from perdure.console.graph import flowchart
from perdure.console.standing import Standing
from perdure.console.tree import Node, grow
from perdure.contracts import Spent
from tests.console.crew import TEAM
from tests.console.test_tree import standing

_LABEL = r'"[\w .,/·…$+<>;#-]*"'
_LINE = re.compile(
    rf"""
    flowchart\ TD
    | \ +(?P<node>top|[rm]\d+)\[{_LABEL}\](:::(?P<shade>\w+))?
    | \ +subgraph\ (?P<frame>m\d+)\[{_LABEL}\]
    | \ +end
    | \ +(?P<parent>top|[rm]\d+)\ -->\ (?P<child>[rm]\d+)
    | \ +(?P<sender>m\d+)\ -\.\ "(?P<sent>\d+)"\ \.->\ (?P<receiver>m\d+)
    | \ +classDef\ (?P<style>[a-z]+)\ [\w:#,-]+
    | \ +%%\ [\w ,]+
    """,
    re.VERBOSE,
)


class Chart:
    """What Mermaid would read; every line is one of those above, and every id is there."""

    def __init__(
        self, runs: Sequence[Standing], sent: Mapping[str, int], members: Sequence[str]
    ) -> None:
        top = Node(standing(TEAM, None), grow(TEAM, runs), 1, Spent())
        self.lines = list(flowchart(top, sent, members))
        read = [_LINE.fullmatch(line) for line in self.lines]
        wrong = [line for line, found in zip(self.lines, read, strict=True) if found is None]
        assert wrong == []
        found = [each.groupdict() for each in read if each]
        self.nodes = [each["node"] for each in found if each["node"]]
        self.frames = [each["frame"] for each in found if each["frame"]]
        self.edges = [(each["parent"], each["child"]) for each in found if each["parent"]]
        self.messages = {
            (each["sender"], each["receiver"]): int(each["sent"]) for each in found if each["sent"]
        }
        ids = self.nodes + self.frames
        assert len(ids) == len(set(ids))
        assert {end for pair in [*self.edges, *self.messages] for end in pair} <= set(ids)
        styles = {each["style"] for each in found}
        assert {each["shade"] for each in found} <= styles
        assert self.lines.count("  end") == len(self.frames)

    def line(self, text: str) -> str:
        (line,) = (each for each in self.lines if text in each)
        return line.strip()


def _run(member: str, number: int = 1, **fields: Any) -> Standing:
    return standing(f"{TEAM}.{member}.{number}", minute=number, member=member, **fields)


def test_a_team_is_a_tree_with_messages() -> None:
    """A frame for each member with its runs, and dotted edges with counts between frames."""
    runs = [_run("boss"), _run("a", 1, task_id="one"), _run("a", 2, task_id="two"), _run("b")]
    chart = Chart(runs, {"boss>a": 3, "a>boss": 1}, ["boss", "a", "b"])
    assert chart.frames == ["m0", "m1", "m2"]
    assert chart.edges == [("top", "r1"), ("top", "r2"), ("top", "r3"), ("top", "r4")]
    assert chart.messages == {("m0", "m1"): 3, ("m1", "m0"): 1}
    assert chart.line("two").startswith('r3["two<br/>completed · 2 steps · $0.2500<br/>Do it."]')


def test_what_was_delegated_hangs_below_its_parent() -> None:
    """With and without a team."""
    runs = [standing(f"{TEAM}.1", minute=1), standing(f"{TEAM}.1.1", f"{TEAM}.1", minute=2)]
    assert Chart(runs, {}, []).edges == [("top", "r1"), ("r1", "r2")]


@pytest.mark.parametrize(
    ("status", "shade"),
    [
        ("completed", "completed"),
        ("running", "running"),
        ("waiting", "held"),
        ("suspended", "held"),
        ("out_of_budget", "failed"),
        ("terminated", "failed"),
        ("cancelled", "cancelled"),
    ],
)
def test_a_node_is_coloured_by_how_its_run_stands(status: str, shade: str) -> None:
    """What failed in whatever way in one colour, what is held up in another."""
    chart = Chart([standing(f"{TEAM}.1", status=status)], {}, [])
    assert chart.line("r1[").endswith(f":::{shade}")


@pytest.mark.parametrize(
    "text",
    [
        'say "end" [now] {or} (never) <b>bold</b>',
        "end",
        "one\ntwo\r\nend",
        "%%{init: {}}%% `code` #quot; ; --> x",
        "classDef style:a#b;",
        "\x1b[31m\u202e\u2028red",
    ],
)
def test_no_text_breaks_the_chart(text: str) -> None:
    """Quotes, brackets, line breaks, comments, directives and keywords stay within the label."""
    run = _run("a", task=text, agent=text, task_id=text)
    delegated = standing(f"{run.id}.1", run.id, minute=2, task=text, agent=text)
    chart = Chart([run, delegated], {}, ["a"])
    assert len(chart.lines) == len(
        Chart([_run("a"), standing(delegated.id, run.id)], {}, ["a"]).lines
    )


def test_what_is_escaped_is_still_read() -> None:
    """As the entities that Mermaid knows: by number."""
    assert "say #34;hi#34; #91;x#93;" in Chart([_run("a", task='say "hi" [x]')], {}, ["a"]).line(
        "say"
    )


def test_a_message_to_one_who_never_worked_is_drawn() -> None:
    """A node for it; but none for a name that is no member's."""
    chart = Chart([_run("a")], {"a>b": 2, "a>nobody": 5}, ["a", "b"])
    assert chart.messages == {("m0", "m1"): 2}
    assert chart.line("m1[") == 'm1["b"]'


def test_a_thousand_runs_are_a_node_for_each_member() -> None:
    """With how many runs it had."""
    names = [f"coder-{n}" for n in range(100)]
    runs = [_run(name, number) for number in range(1, 11) for name in names]
    chart = Chart(runs, {"coder-0>coder-1": 7}, names)
    assert chart.nodes == ["top", *(f"m{n}" for n in range(100))]
    assert chart.line("m5[") == (
        'm5["coder-5<br/>completed · 10 runs · 20 steps · $2.5000"]:::completed'
    )
    assert chart.messages == {("m0", "m1"): 7}


def test_the_largest_team_can_still_be_drawn() -> None:
    """500 members who all talk to each other: within Mermaid's 500 edges and 50,000 characters."""
    names = [f"coder-{n}" for n in range(500)]
    runs = [_run(name, number) for number in (1, 2) for name in names]
    sent = {f"{a}>{b}": 1 for a in names[:50] for b in names[:50] if a != b}
    chart = Chart(runs, sent | {"coder-3>coder-4": 9}, names)
    assert len(chart.edges) + len(chart.messages) < 500
    assert sum(len(line) + 1 for line in chart.lines) < 50_000
    assert chart.messages["m3", "m4"] == 9
    assert "with fewer messages not drawn" in chart.line("%%")
    assert "300 more" in chart.line("more<br/>")
