"""A sandbox that was found on this machine: what a reaper decides by."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Found:
    """A sandbox that is there, whoever made it."""

    name: str
    kind: Literal["docker", "bwrap", "none", "folder"]
    run: str
    workflow_id: str
    cluster: str
    """The Temporal server that knows the run (`connection.cluster`)."""
    deadline: float
    """Unix time from which it is an orphan if its run has ended or is unknown."""
