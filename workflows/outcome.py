"""What one call brought: for the model, for a person, and for telling steps apart."""

from dataclasses import dataclass
from typing import Self

from perdure.contracts import Answer, Call, Entry, Observation, Parcel, Quote


@dataclass(frozen=True, slots=True)
class Outcome:
    entry: Entry
    """The result as the next think is given it."""
    seen: str
    """How it begins."""
    is_ok: bool
    digest: str

    @classmethod
    def said(cls, call: Call, text: str, *, is_ok: bool, digest: str | None = None) -> Self:
        """A result in the workflow's own words."""
        entry = Entry(kind="result", call=call.id, text=text)
        return cls(entry, f"{'ok' if is_ok else 'error'}: {text}", is_ok, digest or text)

    @classmethod
    def observed(cls, call: Call, seen: Observation) -> Self:
        """A result that `act` has stored."""
        entry = Entry(kind="result", id=seen.result, call=call.id)
        return cls(entry, f"{seen.status}: {seen.preview}", seen.status == "ok", seen.digest)

    @classmethod
    def replied(cls, call: Call, reply: Parcel) -> Self:
        """What the run's team answered."""
        entry = Entry(kind="result", call=call.id, text=reply.text, quotes=reply.quotes)
        seen = f"{'ok' if reply.is_ok else 'error'}: {reply.text}"
        return cls(entry, seen, reply.is_ok, reply.text)

    @classmethod
    def answered(cls, call: Call, run: str, text: str, *, is_ok: bool) -> Self:
        """What a run that the call started has answered."""
        entry = Entry(kind="result", call=call.id, text=text, quotes=(Quote(text=Answer(run=run)),))
        return cls(entry, f"{'ok' if is_ok else 'error'}: {text}", is_ok, f"{run}: {text}")
