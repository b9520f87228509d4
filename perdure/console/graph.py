"""A tree of runs, and the messages between a team's members, as a Mermaid flowchart."""

import re
from collections.abc import Iterator, Mapping, Sequence

from perdure.console.display import clean, preview
from perdure.console.tree import Node
from perdure.contracts import RunStatus
from perdure.teams.overview import count, spending

_MOST_NODES = 200
_MOST_EDGES = 450
"""Mermaid draws at most 500, and a diagram cannot ask for more."""
_LABEL_CHARACTERS = 40
# Everything else could end a label, or begin a comment, a directive or Markdown in it.
_SPECIAL = re.compile(r"[^\w .,/·…$+-]")
_GOOD, _OPEN, _HELD, _BAD, _LEFT = "completed", "running", "held", "failed", "cancelled"
_CLASSES = {
    _GOOD: "fill:#d5f0d5,stroke:#2f7d32,color:#000",
    _OPEN: "fill:#d8e8fb,stroke:#1f5fa8,color:#000",
    _HELD: "fill:#fdf3cd,stroke:#a57c00,color:#000",
    _BAD: "fill:#f9d6d5,stroke:#b3261e,color:#000",
    _LEFT: "fill:#e6e6e6,stroke:#666666,color:#000",
}
_CLASS_OF: dict[str, str] = {
    RunStatus.COMPLETED: _GOOD,
    RunStatus.RUNNING: _OPEN,
    RunStatus.CANCELLED: _LEFT,
    **dict.fromkeys(("failed", "stuck", "terminated", "timed_out", "lost"), _BAD),
    **dict.fromkeys(("out_of_steps", "out_of_budget", "out_of_time"), _BAD),
}
"""Whatever is not here is held: paused, waiting, suspended."""


def flowchart(top: Node, messages: Mapping[str, int], members: Sequence[str]) -> Iterator[str]:
    """Line by line. `messages` says how many the `members` sent, by `sender>receiver`."""
    yield "flowchart TD"
    chart = _Chart(members)
    yield f"  {_box('top', top)}"
    yield from chart.tree("top", top.below)
    yield from chart.messages(messages)
    for name, style in _CLASSES.items():
        yield f"  classDef {name} {style}"


class _Chart:
    """Gives nodes their ids, which say nothing of what models or people called them."""

    def __init__(self, members: Sequence[str]) -> None:
        self._members = {name: f"m{number}" for number, name in enumerate(members)}
        self._shown: set[str] = set()
        """Members that have a node."""
        self._nodes = 0
        self._edges = 0

    def tree(self, parent: str, nodes: Sequence[Node]) -> Iterator[str]:
        """The nodes below `parent`; a member's runs stand in a frame with its name."""
        groups: dict[str | None, list[Node]] = {}
        for node in nodes[:_MOST_NODES]:
            groups.setdefault(node.run.member, []).append(node)
        for member, group in groups.items():
            if member is None or member not in self._members:
                yield from self._runs(parent, group)
            elif group[0].runs > 1:
                yield from self._one(parent, self._show(member), group[0])
            else:
                yield f'  subgraph {self._show(member)}["{_escaped(member)}"]'
                ids = [self._new() for _ in group]
                for id, node in zip(ids, group, strict=True):
                    yield f"    {_box(id, node)}"
                yield "  end"
                for id, node in zip(ids, group, strict=True):
                    yield self._edge(f"{parent} --> {id}")
                    yield from self.tree(id, node.below)
        if rest := nodes[_MOST_NODES:]:
            yield from self._one(parent, self._new(), Node.folded(rest), f"{len(rest)} more")

    def messages(self, sent: Mapping[str, int]) -> Iterator[str]:
        """Dotted edges, those with the most messages first."""
        known = [pair for pair in sent if set(pair.split(">")) <= self._members.keys()]
        most_first = sorted(known, key=lambda pair: -sent[pair])
        drawn = most_first[: max(_MOST_EDGES - self._edges, 0)]
        for name in dict.fromkeys(name for pair in drawn for name in pair.split(">")):
            if name not in self._shown:
                yield f'  {self._show(name)}["{_escaped(name)}"]'
        for pair in drawn:
            sender, receiver = (self._members[name] for name in pair.split(">"))
            yield f'  {sender} -. "{sent[pair]}" .-> {receiver}'
        if more := len(known) - len(drawn):
            yield f"  %% {count(more, 'pair')} with fewer messages not drawn"

    def _runs(self, parent: str, nodes: Sequence[Node]) -> Iterator[str]:
        for node in nodes:
            yield from self._one(parent, self._new(), node)

    def _one(self, parent: str, id: str, node: Node, name: str = "") -> Iterator[str]:
        yield f"  {_box(id, node, name)}"
        yield self._edge(f"{parent} --> {id}")
        yield from self.tree(id, node.below)

    def _edge(self, line: str) -> str:
        self._edges += 1
        return f"  {line}"

    def _show(self, member: str) -> str:
        self._shown.add(member)
        return self._members[member]

    def _new(self) -> str:
        self._nodes += 1
        return f"r{self._nodes}"


def _box(id: str, node: Node, name: str = "") -> str:
    _, _, cost = spending(node.spent)
    runs = f" · {count(node.runs, 'run')}" if node.runs > 1 else ""
    first = name or (node.run.task_id if node.runs == 1 else None) or node.name
    lines = [first, f"{node.run.status}{runs} · {count(node.spent.steps, 'step')} · {cost}"]
    if node.runs == 1:
        lines.append(preview(node.run.task, _LABEL_CHARACTERS))
    label = "<br/>".join(_escaped(line) for line in lines)
    return f'{id}["{label}"]:::{_CLASS_OF.get(node.run.status, _HELD)}'


def _escaped(text: str) -> str:
    """As Mermaid shows it within quotes."""
    line = " ".join(clean(text).split())
    return _SPECIAL.sub(lambda found: f"#{ord(found[0])};", line)
