"""What a tree of runs may still use: shares of it are reserved for runs, and settled afterwards."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import TypeVar

from perdure.contracts import Limits, Spent
from perdure.teams.overview import count

_Number = TypeVar("_Number", int, float)
_NOTHING = Spent()
_DECIMALS = 9
"""Of a dollar: far below the price of a token, far above what floating point gets wrong."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of each resource; None where it is not limited. Its text says so in words."""

    steps: int | None
    tokens: int | None
    cost_usd: float | None
    minutes: float | None

    @property
    def is_empty(self) -> bool:
        """Whether a resource is used up, so that nothing can be started any more."""
        return 0 in (self.steps, self.tokens, self.cost_usd, self.minutes)

    def part(self, part: float) -> "Left":
        """`part` of everything but time, which passes for everybody at once."""
        exact = Fraction(part).limit_denominator()  # a third of 3 is 1
        cost = self.cost_usd
        return replace(
            self,
            steps=None if self.steps is None else math.floor(self.steps * exact),
            tokens=None if self.tokens is None else math.floor(self.tokens * exact),
            cost_usd=None if cost is None else round(cost * part, _DECIMALS),
        )

    def __str__(self) -> str:
        words = []
        if self.steps is not None:
            words.append(count(self.steps, "step"))
        if self.tokens is not None:
            words.append(count(self.tokens, "token"))
        if self.cost_usd is not None:
            words.append(f"${self.cost_usd:,.{2 if self.cost_usd >= 1 / 10 else 4}f}")
        if self.minutes is not None:
            seconds = int(self.minutes * 60)
            words.append(f"{seconds // 60:,} min" if seconds >= 60 else f"{seconds} s")  # noqa: PLR2004
        return ", ".join(words) or "no limit"


class Purse:
    """The limits of a whole tree of runs, what is spent of them, and what runs may still spend."""

    def __init__(
        self,
        limits: Limits,
        started: datetime,
        spent: Spent = _NOTHING,
        reserved: Mapping[str, Limits] | None = None,
    ) -> None:
        self.limits = limits
        self.started = started
        self.spent = spent
        self.reserved = dict(reserved or {})
        """The shares of the open runs, each raised to what its run is known to have spent."""

    def left(self, now: datetime) -> Left:
        """What is neither spent nor reserved: a run that is open counts at its whole share.

        Where money is limited and the price of something is unknown, no money is left.
        """
        limits, usage, shares = self.limits, self.spent.usage, self.reserved.values()
        cost = math.inf if usage.cost_usd is None else usage.cost_usd
        return Left(
            steps=_rest(limits.max_steps, self.spent.steps + sum(s.max_steps or 0 for s in shares)),
            tokens=_rest(limits.max_tokens, usage.tokens + sum(s.max_tokens or 0 for s in shares)),
            cost_usd=_rest(limits.max_cost_usd, cost + sum(s.max_cost_usd or 0 for s in shares)),
            minutes=_rest(limits.max_minutes, (now - self.started) / timedelta(minutes=1)),
        )

    def share(self, part: float, own: Limits, now: datetime) -> Limits | None:
        """What a run may use: `part` (above 0, at most 1) of what is left, and no more than `own`.

        None where that is less than a step, a token, any money or any time.
        """
        share = self.left(now).part(part)
        if share.is_empty:
            return None
        return Limits(
            max_steps=_least(share.steps, own.max_steps),
            max_tokens=_least(share.tokens, own.max_tokens),
            max_cost_usd=_least(share.cost_usd, own.max_cost_usd),
            max_minutes=_least(share.minutes, own.max_minutes),
        )

    def reserve(self, run: str, share: Limits) -> None:
        self.reserved[run] = share

    def draw(self, run: str, spent: Spent) -> None:
        """An open run is known to have spent so much: a limit stops it only after a whole step."""
        if share := self.reserved.get(run):
            self.reserved[run] = Limits(
                max_steps=_most(share.max_steps, spent.steps),
                max_tokens=_most(share.max_tokens, spent.usage.tokens),
                max_cost_usd=_most(share.max_cost_usd, spent.usage.cost_usd),
                max_minutes=share.max_minutes,
            )

    def settle(self, run: str, spent: Spent) -> bool:
        """Put back what the run has left of its share; False if it holds none: nothing is added.

        So a run is settled once, however often its end is reported.
        """
        if self.reserved.pop(run, None) is None:
            return False
        self.spent += spent
        return True


def _rest(limit: _Number | None, gone: _Number) -> _Number | None:
    return None if limit is None else round(max(limit - gone, 0), _DECIMALS)


def _most(share: _Number | None, spent: _Number | None) -> _Number | None:
    return share if share is None or spent is None else max(share, spent)


def _least(left: _Number | None, own: _Number | None) -> _Number | None:
    return min((each for each in (left, own) if each is not None), default=None)
