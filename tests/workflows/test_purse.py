"""The purse adds up, whatever is reserved, spent and settled, in whatever order."""

from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from perdure.contracts import Limits, Spent, Usage
from workflows.purse import Left, Purse

START = datetime(2026, 1, 1, tzinfo=UTC)
FAR_BELOW_A_CENT = 1e-6
LIMITS = st.builds(
    Limits,
    max_steps=st.none() | st.integers(1, 500),
    max_tokens=st.none() | st.integers(1, 10**7),
    max_cost_usd=st.none() | st.floats(1e-6, 1000),
    max_minutes=st.none() | st.floats(1, 1000),
)
_Number = TypeVar("_Number", int, float)
PARTS = st.floats(0, 1, exclude_min=True)


def make_spent(steps: int = 0, tokens: int = 0, cost_usd: float | None = 0.0) -> Spent:
    return Spent(steps=steps, usage=Usage(input_tokens=tokens, cost_usd=cost_usd))


class PurseOfRuns(RuleBasedStateMachine):
    """Runs get shares, keep to them, and end; some ends are reported twice."""

    @initialize(limits=LIMITS)
    def begin(self, limits: Limits) -> None:
        self.purse = Purse(limits, START)
        self.now = START
        self.runs = 0
        self.ended: list[str] = []
        self.spent = [Spent()]

    @rule(part=PARTS, own=LIMITS)
    def start_a_run(self, part: float, own: Limits) -> None:
        left = self.purse.left(self.now)
        share = self.purse.share(part, own, self.now)
        if share is None:
            assert left.part(part).is_empty
            return
        for given_to_it, of_the_purse, its_own in (
            (share.max_steps, left.steps, own.max_steps),
            (share.max_tokens, left.tokens, own.max_tokens),
            (share.max_cost_usd, left.cost_usd, own.max_cost_usd),
            (share.max_minutes, left.minutes, own.max_minutes),
        ):
            bounds = [each for each in (of_the_purse, its_own) if each is not None]
            assert given_to_it is None if not bounds else given_to_it is not None
            assert given_to_it is None or 0 < given_to_it <= min(bounds)
        self.runs += 1
        self.purse.reserve(str(self.runs), share)

    @precondition(lambda self: self.purse.reserved)
    @rule(data=st.data())
    def end_a_run(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(list(self.purse.reserved)))
        share = self.purse.reserved[run]
        spent = make_spent(
            data.draw(st.integers(0, _or(share.max_steps, 100))),
            data.draw(st.integers(0, _or(share.max_tokens, 10_000))),
            data.draw(st.floats(0, _or(share.max_cost_usd, 10))),
        )
        assert self.purse.settle(run, spent)
        self.ended.append(run)
        self.spent.append(spent)

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def report_an_end_again(self, data: st.DataObject) -> None:
        assert not self.purse.settle(data.draw(st.sampled_from(self.ended)), make_spent(5, 5, 5))

    @rule(minutes=st.floats(0, 100))
    def let_time_pass(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def continue_as_new(self) -> None:
        spent = Spent.model_validate_json(self.purse.spent.model_dump_json())
        self.purse = Purse(self.purse.limits, START, spent, self.purse.reserved)

    @invariant()
    def it_adds_up(self) -> None:
        left, limits, spent = self.purse.left(self.now), self.purse.limits, self.purse.spent
        shares = self.purse.reserved.values()
        assert spent.steps == sum(each.steps for each in self.spent)
        assert spent.usage.tokens == sum(each.usage.tokens for each in self.spent)
        if left.steps is not None:
            reserved = sum(each.max_steps or 0 for each in shares)
            assert left.steps + reserved + spent.steps == limits.max_steps
        if left.tokens is not None:
            held = sum(each.max_tokens or 0 for each in shares)
            assert left.tokens + held + spent.usage.tokens == limits.max_tokens
        if left.cost_usd is not None:
            money = sum(each.max_cost_usd or 0 for each in shares)
            total = left.cost_usd + money + (spent.usage.cost_usd or 0)
            assert total == pytest.approx(limits.max_cost_usd, abs=FAR_BELOW_A_CENT)
        if left.minutes is not None and limits.max_minutes is not None:
            end = START + timedelta(minutes=limits.max_minutes)
            rest = max((end - self.now) / timedelta(minutes=1), 0)
            assert left.minutes == pytest.approx(rest, abs=FAR_BELOW_A_CENT)

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        spent, limits = self.purse.spent, self.purse.limits
        assert limits.max_steps is None or spent.steps <= limits.max_steps
        assert limits.max_tokens is None or spent.usage.tokens <= limits.max_tokens
        cost = spent.usage.cost_usd or 0
        assert limits.max_cost_usd is None or cost <= limits.max_cost_usd + FAR_BELOW_A_CENT


def _or(limit: _Number | None, otherwise: _Number) -> _Number:
    return otherwise if limit is None else limit


class TestPurseOfRuns(PurseOfRuns.TestCase):  # type: ignore[valid-type, misc]  # hypothesis makes it
    """After every step left, reserved and spent are the limit, and no limit is exceeded."""


@given(st.integers(1, 10**20), st.integers(1, 100))
def test_equal_parts_are_equal_and_leave_nothing(steps: int, runs: int) -> None:
    """One of n, then one of n - 1, and so on, also of more than a float can count."""
    purse = Purse(Limits(max_steps=steps * runs), START)
    for run in range(runs):
        share = purse.share(1 / (runs - run), Limits(), START)
        assert share == Limits(max_steps=steps)
        purse.reserve(str(run), share)
    assert purse.left(START).is_empty


def test_a_run_that_exceeds_its_share_leaves_less_and_never_a_debt() -> None:
    """What was spent is counted whole, and nothing is below nothing."""
    purse = Purse(Limits(max_steps=10, max_tokens=100, max_cost_usd=1), START)
    purse.reserve("a", Limits(max_steps=5, max_tokens=50, max_cost_usd=0.5))
    purse.settle("a", make_spent(8, 200, 1.5))
    assert purse.left(START) == Left(steps=2, tokens=0, cost_usd=0, minutes=None)
    assert purse.share(1, Limits(), START) is None
    assert purse.spent == make_spent(8, 200, 1.5)


def test_an_open_run_counts_at_what_it_is_known_to_have_spent_over_its_share() -> None:
    """Below its share it counts at the share; settled, at what it spent in the end."""
    purse = Purse(Limits(max_steps=10, max_tokens=100, max_cost_usd=1), START)
    purse.reserve("a", Limits(max_steps=5, max_tokens=50, max_cost_usd=0.5))
    purse.draw("a", make_spent(2, 90, None))
    assert purse.left(START) == Left(steps=5, tokens=10, cost_usd=0.5, minutes=None)
    purse.draw("a", make_spent(3, 200, 2.0))
    assert purse.left(START) == Left(steps=5, tokens=0, cost_usd=0, minutes=None)
    purse.settle("a", make_spent(4, 95, 0.75))
    assert purse.left(START) == Left(steps=6, tokens=5, cost_usd=0.25, minutes=None)
    purse.draw("a", make_spent(5, 99, 1.0))
    assert purse.left(START) == Left(steps=6, tokens=5, cost_usd=0.25, minutes=None)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_steps=2),
        Limits(max_tokens=2),
        Limits(max_cost_usd=2e-9),
    ],
    ids=["steps", "tokens", "money"],
)
def test_a_part_too_small_for_anything_is_no_share(limits: Limits) -> None:
    """A share of no step, no token or no money would start a run that ends at once."""
    purse = Purse(limits.model_copy(update={"max_minutes": 1}), START)
    assert purse.share(0.1, Limits(), START) is None
    assert purse.share(1, Limits(), START) == purse.limits


def test_time_passes_for_all_at_once() -> None:
    """Every run has what is left of it, whole; afterwards there is no share."""
    purse = Purse(Limits(max_minutes=10), START)
    purse.reserve("a", Limits(max_minutes=10))
    later = START + timedelta(minutes=4)
    assert purse.share(0.5, Limits(), later) == Limits(max_minutes=6)
    assert purse.share(0.5, Limits(max_minutes=1), later) == Limits(max_minutes=1)
    assert purse.share(0.5, Limits(), START + timedelta(minutes=10)) is None


def test_no_money_is_left_once_a_price_is_unknown() -> None:
    """A limit that nobody can keep is not taken for one that is not reached."""
    spent = make_spent(cost_usd=None)
    assert Purse(Limits(max_cost_usd=1), START, spent).left(START).cost_usd == 0
    assert not Purse(Limits(max_steps=1), START, spent).left(START).is_empty


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (Left(37, 12_000, 0.41, 8.9), "37 steps, 12,000 tokens, $0.41, 8 min"),
        (Left(1, 1, 0.0042, 0.7), "1 step, 1 token, $0.0042, 42 s"),
        (Left(None, None, 1234.5, None), "$1,234.50"),
        (Left(0, None, None, 0), "0 steps, 0 s"),
        (Left(None, None, None, None), "no limit"),
    ],
)
def test_what_is_left_is_said_in_words(left: Left, words: str) -> None:
    """Of each resource that is limited, as a model reads it."""
    assert str(left) == words
