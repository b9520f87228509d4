"""Who is restarted and who is given up, for any roster and any failures."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from perdure.teams.contracts import Supervision
from workflows.supervision import judge, recent

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROSTERS = st.integers(1, 6).map(lambda count: [f"coder-{n}" for n in range(1, count + 1)])
MOMENTS = st.lists(st.integers(0, 120).map(lambda minutes: NOW - timedelta(minutes=minutes)))
RULES = st.builds(
    Supervision,
    strategy=st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
    max_restarts=st.integers(0, 5),
    within_minutes=st.integers(1, 120),
)


def with_strategy(strategy: str) -> Supervision:
    return Supervision.model_validate({"strategy": strategy, "max_restarts": 1000})


@given(RULES, ROSTERS, st.data(), MOMENTS)
def test_a_member_is_given_up_exactly_when_it_failed_too_often_within_the_period(
    rules: Supervision, roster: list[str], data: st.DataObject, failures: list[datetime]
) -> None:
    """As many failures as restarts are allowed are borne, and those before the period forgotten."""
    verdict = judge(rules, roster, data.draw(st.sampled_from(roster)), failures, NOW)
    ages = [(NOW - each) / timedelta(minutes=1) for each in failures]
    assert verdict.is_out == (sum(a <= rules.within_minutes for a in ages) > rules.max_restarts)


@given(RULES, ROSTERS, st.data(), MOMENTS)
def test_either_the_member_is_restarted_or_nobody(
    rules: Supervision, roster: list[str], data: st.DataObject, failures: list[datetime]
) -> None:
    """Giving one up stops no other; else it is among those that begin anew, each named once."""
    member = data.draw(st.sampled_from(roster))
    verdict = judge(rules, roster, member, failures, NOW)
    assert (member in verdict.restart) is not verdict.is_out
    assert bool(verdict.restart) is not verdict.is_out
    assert len(set(verdict.restart)) == len(verdict.restart)


@given(ROSTERS, st.data())
def test_each_strategy_restarts_whom_it_names_in_the_order_of_the_roster(
    roster: list[str], data: st.DataObject
) -> None:
    """The failed one alone, everybody, or nobody before it and everybody from it on."""
    member = data.draw(st.sampled_from(roster))
    one, every, rest = (
        judge(with_strategy(strategy), roster, member, [NOW], NOW).restart
        for strategy in ("one_for_one", "one_for_all", "rest_for_one")
    )
    before = roster[: len(roster) - len(rest)]
    assert one == (member,)
    assert every == tuple(roster)
    assert (*before, *rest) == every
    assert rest[0] == member


@given(RULES, ROSTERS, MOMENTS)
def test_a_member_that_forgets_old_failures_is_judged_alike(
    rules: Supervision, roster: list[str], failures: list[datetime]
) -> None:
    """Of one failure after the other, only those of the period need to be remembered."""
    remembered: tuple[datetime, ...] = ()
    for known, now in enumerate(sorted(failures), 1):
        remembered = recent(rules, (*remembered, now), now)
        history = sorted(failures)[:known]
        assert judge(rules, roster, roster[0], remembered, now) == judge(
            rules, roster, roster[0], history, now
        )


def test_the_period_ends_now_and_its_first_moment_counts() -> None:
    """A failure that is as old as the period is within it, and an older one is not."""
    rules = Supervision(within_minutes=10)
    moments = [NOW - timedelta(minutes=10, microseconds=1), NOW - timedelta(minutes=10), NOW]
    assert recent(rules, moments, NOW) == tuple(moments[1:])
