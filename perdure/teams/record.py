"""What the store holds of a team: its spec, beside what its shared workspace needs."""

from perdure.store.tables import Run
from perdure.teams.contracts import TeamSpec


def spec_of(team: Run) -> TeamSpec:
    """The team as it was opened, each agent written out."""
    return TeamSpec.model_validate({k: v for k, v in team.spec.items() if k != "sandbox"})
