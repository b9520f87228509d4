"""Recorded histories, replayed: a change that would break open runs is noticed here.

The workflows run in the SDK's sandbox, which production leaves out for speed: here it watches
over them.
"""

import json
import re
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import NondeterminismError

from workflows.agent import AgentWorkflow
from workflows.guard import OneObject
from workflows.team import TeamWorkflow

HISTORIES = {
    file.stem: file.read_text() for file in Path(__file__).with_name("histories").glob("*.json")
}


async def _replay(history: str) -> None:
    passed = SandboxRestrictions.default.with_passthrough_modules("perdure", "activities")
    replayer = Replayer(
        workflows=[AgentWorkflow, TeamWorkflow],
        workflow_runner=SandboxedWorkflowRunner(passed),
        interceptors=[OneObject()],
        data_converter=pydantic_data_converter,
    )
    began = json.loads(history)["events"][0]["workflowExecutionStartedEventAttributes"]
    # Its own id: those of its children are made from it.
    await replayer.replay_workflow(WorkflowHistory.from_json(began["workflowId"], history))


@pytest.mark.parametrize("name", HISTORIES)
async def test_a_recorded_run_takes_the_same_course_again(name: str) -> None:
    """The workflow of today decides as the recorded one did."""
    await _replay(HISTORIES[name])


@pytest.mark.parametrize("name", HISTORIES)
async def test_another_course_is_noticed(name: str) -> None:
    """Had the recorded run called its effects by other names, the replay would fail."""
    another = re.sub(r'"name": "(think|open_team|close_run)"', '"name": "ponder"', HISTORIES[name])
    assert another != HISTORIES[name]
    with pytest.raises(NondeterminismError):
        await _replay(another)
