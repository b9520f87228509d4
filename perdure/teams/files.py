"""Teams in files."""

from perdure.errors import UnknownTeam
from perdure.front_matter import Definitions
from perdure.teams.contracts import TeamSpec


class Teams(Definitions[TeamSpec]):
    """The teams of some folders."""

    what = "team"
    spec = TeamSpec
    unknown = UnknownTeam
