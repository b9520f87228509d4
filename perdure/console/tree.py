"""The tree of runs below a run or a team."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from rich.text import Text
from rich.tree import Tree

from perdure.console.display import clean, preview
from perdure.console.standing import Standing
from perdure.contracts import RunStatus, Spent
from perdure.teams.overview import count, spending

MOST_RUNS = 100
"""Of more, those of one member (or agent) are shown as one, with what they add up to."""
_ENDED = {str(status) for status in RunStatus if status.is_final}


@dataclass(frozen=True, slots=True)
class Node:
    """A run and those below it; or several of one member, of which `run` is the last."""

    run: Standing
    below: tuple["Node", ...]
    runs: int
    """So many it stands for."""
    spent: Spent

    @property
    def name(self) -> str:
        return self.run.member or self.run.agent

    @property
    def everything(self) -> Iterator["Node"]:
        yield self
        for node in self.below:
            yield from node.everything

    @classmethod
    def folded(cls, nodes: Sequence[Self]) -> "Node":
        """One in place of these and all that is below them."""
        every = [each for node in nodes for each in node.everything]
        still_open = [node.run for node in nodes if node.run.status not in _ENDED]
        run = (still_open or [node.run for node in nodes])[-1]
        return Node(run, (), len(every), sum((each.spent for each in every), Spent()))


def grow(top: str, runs: Iterable[Standing]) -> tuple[Node, ...]:
    """The runs that `top` started, the earliest first, with those that they started."""
    below: dict[str, list[Standing]] = {}
    latest = {run.id: run for run in sorted(runs, key=lambda run: run.started)}
    for run in latest.values():
        below.setdefault(run.parent or top, []).append(run)

    def nodes(parent: str) -> tuple[Node, ...]:
        return tuple(Node(run, nodes(run.id), 1, run.spent) for run in below.get(parent, ()))

    return _folded(nodes(top)) if len(latest) > MOST_RUNS else nodes(top)


def _folded(nodes: Sequence[Node]) -> tuple[Node, ...]:
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        groups.setdefault(node.name, []).append(node)
    return tuple(Node.folded(group) for group in groups.values())


def drawn(title: str, nodes: Sequence[Node]) -> Tree:
    """The tree as a person reads it, a line for each node."""
    tree = Tree(_line(title), guide_style="dim")
    _hang(tree, nodes)
    return tree


def _hang(tree: Tree, nodes: Sequence[Node]) -> None:
    for node in nodes:
        _hang(tree.add(_line(_facts(node))), node.below)


def _facts(node: Node) -> str:
    run, (_, _, cost) = node.run, spending(node.spent)
    sums = (run.status, count(node.spent.steps, "step"), cost)
    if node.runs > 1:
        return " · ".join((f"{node.name}: {count(node.runs, 'run')}", *sums))
    agent = f"{run.member} ({run.agent})" if run.member else run.agent
    task = f"{run.task_id}: {run.task}" if run.task_id else run.task
    return " · ".join((run.id, agent, *sums, preview(task)))


def _line(text: str) -> Text:
    return Text(clean(text), no_wrap=True, overflow="ellipsis")
