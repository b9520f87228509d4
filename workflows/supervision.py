"""Who is restarted when a member fails, and who is given up: the rules of Erlang/OTP."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from perdure.teams.contracts import Supervision


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from a member's failure."""

    restart: tuple[str, ...]
    """Members, in the order of the roster."""
    is_out: bool
    """Whether the member is given up: it failed too often."""


def judge(
    rules: Supervision,
    roster: Sequence[str],
    member: str,
    failures: Iterable[datetime],
    now: datetime,
) -> Verdict:
    """What follows from the latest of the member's `failures`, which holds those before it too.

    `roster` names the members without their lead. Source of the rules:
    https://www.erlang.org/doc/system/sup_princ.html
    """
    if len(recent(rules, failures, now)) > rules.max_restarts:
        return Verdict(restart=(), is_out=True)
    return Verdict(restart=_restarted(rules, roster, member), is_out=False)


def recent(rules: Supervision, failures: Iterable[datetime], now: datetime) -> tuple[datetime, ...]:
    """Those within the period that ends now."""
    period = timedelta(minutes=rules.within_minutes)
    return tuple(each for each in failures if now - each <= period)


def _restarted(rules: Supervision, roster: Sequence[str], member: str) -> tuple[str, ...]:
    match rules.strategy:
        case "one_for_one":
            return (member,)
        case "one_for_all":
            return tuple(roster)
        case "rest_for_one":
            return tuple(roster[roster.index(member) :])
