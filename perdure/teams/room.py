"""Room: what a run of a team reaches of the others, their notes and their files."""

from dataclasses import dataclass
from typing import Self

from perdure.errors import ToolError
from perdure.hints import did_you_mean
from perdure.store.files import Files, Point
from perdure.store.notes import Notes
from perdure.store.store import Store
from perdure.store.tables import Run
from perdure.teams.contracts import TeamSpec
from perdure.teams.record import spec_of

_NAMED = 50
"""So many members are named at once."""


@dataclass(frozen=True, slots=True)
class Room:
    """That of one run, which is the work of `member`."""

    run: str
    team: str
    """The id of its workflow."""
    member: str
    store: Store
    notes: Notes
    files: Files

    @classmethod
    def of(cls, store: Store, run: Run) -> Self | None:
        """None for a run that belongs to no team."""
        if run.team is None or run.member is None:
            return None
        return cls(run.id, run.team, run.member, store, Notes(store), Files(store))

    async def files_of(self, member: str) -> Point:
        """The newest state of a colleague's files.

        Raises:
            ToolError: there is no such member, or none of its files are recorded.
        """
        team = spec_of(await self.store.find_run(self.team))
        _check_member(team, member)
        if team.shared_workspace:
            raise ToolError("All members of this team work on the same files: yours are theirs.")
        point = await self.files.latest(self.team, member)
        if point is None:
            raise ToolError(
                f"No files of {member} are recorded yet: they are after its first step with some."
            )
        return point


def _check_member(team: TeamSpec, member: str) -> None:
    names = team.names
    if member in names:
        return
    hint = did_you_mean(member, names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    known = ", ".join(names[:_NAMED])
    raise ToolError(f"'{member}' is no member of this team.{hint} Its members: {known}{more}.")
