"""The tree of runs below a run or a team."""

import io

from rich.console import Console

from perdure.console.standing import Standing
from perdure.console.tree import MOST_RUNS, Node, drawn, grow
from perdure.contracts import Usage
from tests.console.crew import TEAM, at


def standing(id: str, parent: str | None = TEAM, minute: int = 1, **fields: object) -> Standing:
    """A run of two steps that cost a quarter of a dollar."""
    given: dict[str, object] = {"member": None, "task_id": None, "status": "completed"}
    more = {"agent": "coder", "model": "m", "steps": 2, "usage": Usage(cost_usd=0.25)}
    rest = {"task": "Do it.", "head": None, "started": at(minute), "ended": None}
    return Standing.model_validate(given | more | rest | {"id": id, "parent": parent} | fields)


def _lines(nodes: tuple[Node, ...]) -> list[str]:
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as captured:
        console.print(drawn("all", nodes))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_run_hangs_below_the_one_that_started_it() -> None:
    """The earliest first, whatever order they come in."""
    runs = [
        standing("a.2", "a", minute=3, status="running", agent="reviewer", task="Look\nat it."),
        standing("a.1.1", "a.1", minute=2),
        standing("a.1", "a", minute=1),
    ]
    assert _lines(grow("a", runs)) == [
        "all",
        "├── a.1 · coder · completed · 2 steps · $0.2500 · Do it.",
        "│   └── a.1.1 · coder · completed · 2 steps · $0.2500 · Do it.",
        "└── a.2 · reviewer · running · 2 steps · $0.2500 · Look at it.",
    ]


def test_a_members_run_is_shown_with_its_name_and_task() -> None:
    """Both as the ledger has them."""
    run = standing(f"{TEAM}.coder-1.1", member="coder-1", task_id="schema")
    (line,) = _lines(grow(TEAM, [run]))[1:]
    assert line.endswith("coder-1 (coder) · completed · 2 steps · $0.2500 · schema: Do it.")


def test_a_run_that_was_begun_twice_is_shown_once() -> None:
    """As it stands now."""
    runs = [standing("a.1", "a", minute=2), standing("a.1", "a", minute=1, status="failed")]
    (node,) = grow("a", runs)
    assert node.run.status == "completed"


def test_many_runs_are_summed_up_by_member() -> None:
    """A thousand: a line for each member, with all that is below its runs."""
    runs = [
        standing(f"t.m{n % 3}.{n}", "t", minute=n, member=f"m{n % 3}") for n in range(MOST_RUNS)
    ]
    assert len(grow("t", runs)) == MOST_RUNS
    runs.append(standing("t.m0.0.1", "t.m0.0", minute=500, status="failed", steps=4))
    folded = grow("t", runs)
    assert [node.name for node in folded] == ["m0", "m1", "m2"]
    assert sum(node.runs for node in folded) == MOST_RUNS + 1
    assert folded[0].spent.steps == 2 * 34 + 4
    assert _lines(folded)[1] == "├── m0: 35 runs · completed · 72 steps · $8.7500"


def test_a_member_of_many_runs_stands_as_its_open_one() -> None:
    """And as its last one, where none is open."""
    runs = [standing(f"t.m.{n}", "t", minute=n, member="m") for n in range(MOST_RUNS + 1)]
    runs[-1] = runs[-1].model_copy(update={"status": "failed"})
    (node,) = grow("t", runs)
    assert node.run.status == "failed"
    runs[7] = runs[7].model_copy(update={"status": "running"})
    (node,) = grow("t", runs)
    assert node.run.status == "running"


def test_a_price_that_is_unknown_makes_the_sum_unknown() -> None:
    """Rather than too small."""
    runs = [standing(f"t.m.{n}", "t", minute=n, member="m") for n in range(MOST_RUNS + 1)]
    runs[3] = runs[3].model_copy(update={"usage": Usage(cost_usd=None)})
    (node,) = grow("t", runs)
    assert node.spent.usage.cost_usd is None
