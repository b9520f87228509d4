"""Histories made by hand: what Temporal tells a workflow, with news that come at once.

A workflow task brings all that has happened since the last one. Which events share one is chance
on a server, and is written down here; a replay then shows what the workflow makes of it.
"""

from dataclasses import dataclass, field
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType, RetryState, TimeoutType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import (
    ContinueAsNewInput,
    Interceptor,
    Replayer,
    SignalExternalWorkflowInput,
    StartActivityInput,
    UnsandboxedWorkflowRunner,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from perdure.contracts import AgentRequest, AgentResult, Report, RunStatus
from perdure.teams.contracts import TeamRequest
from workflows.agent import AgentWorkflow
from workflows.guard import OneObject
from workflows.team import TeamWorkflow

RUN = "11111111-1111-1111-1111-111111111111"
_QUEUE = "queue"
_FLAGS = (1,)
"""As a worker of today notes: it raises the cancel where an activity has ended as well."""
_CHILDS_RUN = "22222222-2222-2222-2222-222222222222"


@dataclass(slots=True)
class Course:
    """What a workflow did in a replay that others would notice."""

    ended: list[AgentResult] = field(default_factory=list)
    """With which results it had itself recorded as ended."""
    ended_after: int = 0
    """So many events."""
    reports: list[Report] = field(default_factory=list)
    """What it told its team at its end."""
    continued: list[AgentRequest | TeamRequest] = field(default_factory=list)
    """What it continued as new with."""

    @property
    def end(self) -> tuple[RunStatus, int]:
        """Status and steps."""
        (result,) = self.ended
        return result.status, result.steps


class History:
    """Each method adds the event that it is called after; most return its id."""

    def __init__(self, workflow: str, request: Any, workflow_id: str) -> None:
        self._id = workflow_id
        self._events: list[HistoryEvent] = []
        started = self._add("WORKFLOW_EXECUTION_STARTED")
        started.workflow_type.name = workflow
        started.task_queue.name = _QUEUE
        started.input.CopyFrom(_payloads(request))
        started.original_execution_run_id = started.first_execution_run_id = RUN
        started.workflow_id = workflow_id
        started.attempt = 1

    @property
    def length(self) -> int:
        return len(self._events)

    def _add(self, kind: str) -> Any:
        """The attributes of the new event."""
        event = HistoryEvent(event_id=self.length + 1)
        event.event_type = EventType.Value(f"EVENT_TYPE_{kind}")
        event.event_time.seconds = 1_700_000_000 + self.length
        self._events.append(event)
        attributes = getattr(event, f"{kind.lower()}_event_attributes")
        attributes.SetInParent()
        return attributes

    def _count(self, kind: str) -> int:
        return sum(
            each.event_type == EventType.Value(f"EVENT_TYPE_{kind}") for each in self._events
        )

    def task(self, *, is_long: bool = False, is_last: bool = False) -> None:
        """A workflow task with the news since the last one; what follows are its commands."""
        self._add("WORKFLOW_TASK_SCHEDULED").task_queue.name = _QUEUE
        scheduled = self.length
        started = self._add("WORKFLOW_TASK_STARTED")
        started.scheduled_event_id = scheduled
        started.suggest_continue_as_new = is_long
        if not is_last:
            completed = self._add("WORKFLOW_TASK_COMPLETED")
            completed.scheduled_event_id, completed.started_event_id = scheduled, self.length - 1
            completed.sdk_metadata.lang_used_flags.extend(_FLAGS)

    # Commands

    def asked(self, activity: str, queue: str = _QUEUE, taken_back: int = 0) -> int:
        """`taken_back`: so many were asked for before, and cancelled in the same workflow task."""
        scheduled = self._add("ACTIVITY_TASK_SCHEDULED")
        scheduled.activity_id = str(self._count("ACTIVITY_TASK_SCHEDULED") + taken_back)
        scheduled.activity_type.name = activity
        scheduled.task_queue.name = queue
        return self.length

    def upserted(self) -> None:
        self._add("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES")

    def slept(self) -> int:
        started = self._add("TIMER_STARTED")
        started.timer_id = str(self._count("TIMER_STARTED"))
        return self.length

    def delegated(self, child: str) -> int:
        initiated = self._add("START_CHILD_WORKFLOW_EXECUTION_INITIATED")
        initiated.workflow_id = child
        initiated.workflow_type.name = "AgentWorkflow"
        return self.length

    def cancelled_another(self, workflow_id: str) -> int:
        initiated = self._add("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED")
        initiated.workflow_execution.workflow_id = workflow_id
        return self.length

    def signalled_another(self, workflow_id: str, signal: str) -> int:
        initiated = self._add("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED")
        initiated.workflow_execution.workflow_id = workflow_id
        initiated.signal_name = signal
        return self.length

    # News

    def done(self, asked: int, result: Any = None) -> None:
        self._add("ACTIVITY_TASK_STARTED").scheduled_event_id = asked
        completed = self._add("ACTIVITY_TASK_COMPLETED")
        completed.scheduled_event_id, completed.started_event_id = asked, self.length - 1
        if result is not None:
            completed.result.CopyFrom(_payloads(result))

    def stopped(self, asked: int) -> None:
        """The effect has ended as it was asked to."""
        self._add("ACTIVITY_TASK_CANCELED").scheduled_event_id = asked

    def failed(self, asked: int) -> None:
        self._add("ACTIVITY_TASK_STARTED").scheduled_event_id = asked
        failed = self._add("ACTIVITY_TASK_FAILED")
        failed.scheduled_event_id, failed.started_event_id = asked, self.length - 1
        failed.failure.message = "out of order"
        failed.failure.application_failure_info.non_retryable = True

    def timed_out(self, asked: int) -> None:
        """Nothing was heard of it, and there is no time left to try it again."""
        self._add("ACTIVITY_TASK_STARTED").scheduled_event_id = asked
        late = self._add("ACTIVITY_TASK_TIMED_OUT")
        late.scheduled_event_id, late.started_event_id = asked, self.length - 1
        late.failure.timeout_failure_info.timeout_type = TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE
        late.retry_state = RetryState.RETRY_STATE_TIMEOUT

    def unserved(self, asked: int) -> None:
        """No worker took it up."""
        late = self._add("ACTIVITY_TASK_TIMED_OUT")
        late.scheduled_event_id = asked
        late.failure.timeout_failure_info.timeout_type = TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START

    def cancel_requested(self, asked: int) -> None:
        """Of an effect: a command."""
        self._add("ACTIVITY_TASK_CANCEL_REQUESTED").scheduled_event_id = asked

    def fired(self, slept: int) -> None:
        fired = self._add("TIMER_FIRED")
        fired.started_event_id = slept
        fired.timer_id = self._events[slept - 1].timer_started_event_attributes.timer_id

    def woken(self, slept: int) -> None:
        """The timer is needed no more: a command."""
        cancelled = self._add("TIMER_CANCELED")
        cancelled.started_event_id = slept
        cancelled.timer_id = self._events[slept - 1].timer_started_event_attributes.timer_id

    def signalled(self, name: str, argument: Any) -> None:
        signalled = self._add("WORKFLOW_EXECUTION_SIGNALED")
        signalled.signal_name = name
        signalled.input.CopyFrom(_payloads(argument))

    def cancelled(self) -> None:
        """By somebody outside."""
        self._add("WORKFLOW_EXECUTION_CANCEL_REQUESTED")

    def child(self, delegated: int, news: str, result: Any = None) -> None:
        """`news`: `STARTED`, `COMPLETED` or `TERMINATED`."""
        told = self._add(f"CHILD_WORKFLOW_EXECUTION_{news}")
        began = self._events[
            delegated - 1
        ].start_child_workflow_execution_initiated_event_attributes
        told.initiated_event_id = delegated
        told.workflow_execution.workflow_id = began.workflow_id
        told.workflow_execution.run_id = _CHILDS_RUN
        told.workflow_type.name = "AgentWorkflow"
        if result is not None:
            told.result.CopyFrom(_payloads(result))

    def reached(self, initiated: int) -> None:
        """The other workflow is asked to cancel."""
        self._add("EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED").initiated_event_id = initiated

    def missed(self, initiated: int) -> None:
        """The other workflow was not there to be cancelled."""
        failed = self._add("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
        failed.initiated_event_id, failed.cause = initiated, 1

    def unheard(self, initiated: int) -> None:
        """The other workflow was not there to be signalled."""
        failed = self._add("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
        failed.initiated_event_id, failed.cause = initiated, 1

    async def replay(self) -> Course:
        """What the workflow did; raises what keeps it from taking this course."""
        course = Course()
        replayer = Replayer(
            workflows=[AgentWorkflow, TeamWorkflow],
            workflow_runner=UnsandboxedWorkflowRunner(),
            interceptors=[OneObject(), _Witness(course)],
            data_converter=pydantic_data_converter,
        )
        await replayer.replay_workflow(WorkflowHistory(self._id, self._events))
        return course


class _Witness(Interceptor):
    def __init__(self, course: Course) -> None:
        self._course = course

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        course = self._course

        class Inbound(WorkflowInboundInterceptor):
            def init(self, outbound: WorkflowOutboundInterceptor) -> None:
                super().init(_Outbound(outbound, course))

        return Inbound


class _Outbound(WorkflowOutboundInterceptor):
    def __init__(self, next: WorkflowOutboundInterceptor, course: Course) -> None:
        super().__init__(next)
        self._course = course

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        if input.activity == "close_run":
            self._course.ended.append(input.args[0].result)
            self._course.ended_after = workflow.info().get_current_history_length()
        return super().start_activity(input)

    async def signal_external_workflow(self, input: SignalExternalWorkflowInput) -> None:
        if input.signal == "report":
            self._course.reports.append(input.args[0])
        await super().signal_external_workflow(input)

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        self._course.continued.append(input.args[0])
        super().continue_as_new(input)


def _payloads(value: Any) -> Payloads:
    return Payloads(payloads=pydantic_data_converter.payload_converter.to_payloads([value]))
