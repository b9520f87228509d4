"""The two ends of a member's mail: what waits at its team, and what its run has taken in.

A member's parcels are numbered from 1 through all of its runs. One that its run has not read
waits for the next run, and is numbered anew there if others before it were dropped.
"""

from perdure.contracts import Delivery, Parcel
from perdure.teams.contracts import Mail

_EMPTY = Mail()


class Mailbox:
    """A member's parcels that no run of it has read yet."""

    def __init__(self, mail: Mail = _EMPTY) -> None:
        self._first = mail.first
        self._parcels = list(mail.parcels)
        self._sent = mail.sent

    @property
    def mail(self) -> Mail:
        """The same, to be carried through continue-as-new."""
        return Mail(first=self._first, parcels=tuple(self._parcels), sent=self._sent)

    @property
    def count(self) -> int:
        return len(self._parcels)

    @property
    def size(self) -> int:
        """In bytes, of the texts and of the lines above what they quote."""
        return sum(
            len(text.encode())
            for parcel in self._parcels
            for text in (parcel.text, *(quote.label for quote in parcel.quotes))
        )

    @property
    def has_messages(self) -> bool:
        return any(parcel.kind == "message" for parcel in self._parcels)

    def put(self, parcel: Parcel) -> None:
        self._parcels.append(parcel)

    @property
    def unsent(self) -> tuple[int, tuple[Parcel, ...]] | None:
        """What the present run was not sent yet: the first one's number, and the parcels."""
        parcels = tuple(self._parcels[self._sent - self._first + 1 :])
        return (self._sent + 1, parcels) if parcels else None

    def sent(self, last: int) -> None:
        """Those up to `last` have gone to the present run, which `unsent` was asked about."""
        self._sent = last

    def read(self, last: int) -> None:
        """The present run has shown those up to `last` to its model: they are kept no longer."""
        last = min(last, self._sent)
        if last >= self._first:
            del self._parcels[: last - self._first + 1]
            self._first = last + 1

    def ended(self, read: int) -> None:
        """The run has ended: messages that it has not read wait for the next one, and nothing else.

        Replies, pauses and the like were for this run alone.
        """
        self.read(read)
        self._parcels = [parcel for parcel in self._parcels if parcel.kind == "message"]
        self._sent = self._first - 1

    def start(self) -> tuple[int, tuple[Parcel, ...]]:
        """What the next run begins with: how many came before, and all that waits, now sent."""
        self.ended(read=0)
        self._sent += len(self._parcels)
        return self._first - 1, tuple(self._parcels)


class Inbox:
    """What a run has taken in of its member's parcels: each once and in order."""

    def __init__(self, received: int = 0) -> None:
        self.received = received
        """The number of the last one."""
        self._early: dict[int, Parcel] = {}

    @property
    def has_gap(self) -> bool:
        """Whether parcels wait for one before them: they would not survive continue-as-new."""
        return bool(self._early)

    def take(self, delivery: Delivery) -> tuple[Parcel, ...]:
        """The parcels whose turn has come: those that came before stay out, early ones wait."""
        for number, parcel in enumerate(delivery.parcels, delivery.first):
            if number > self.received:
                self._early[number] = parcel
        taken = []
        while self.received + 1 in self._early:
            self.received += 1
            taken.append(self._early.pop(self.received))
        return tuple(taken)
