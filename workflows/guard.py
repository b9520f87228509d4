"""A guard at the workflows' door: a call of the wrong form fails its run, and never wedges it."""

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ExecuteWorkflowInput,
    HandleSignalInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

with workflow.unsafe.imports_passed_through():
    from perdure.contracts import Contract


class OneObject(Interceptor):
    """Every workflow of ours takes one JSON object; another number of arguments is refused.

    The SDK would answer it with a failed workflow task, which is retried for ever.
    """

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        return _Inbound


class _Inbound(WorkflowInboundInterceptor):
    async def handle_signal(self, input: HandleSignalInput) -> None:
        """Drop a signal of the wrong form, to which no reply could be given."""
        if len(input.args) == 1 and isinstance(input.args[0], Contract):
            await super().handle_signal(input)
        else:
            workflow.logger.warning("A signal %s takes one JSON object: dropped.", input.signal)

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        if len(input.args) != 1 or input.args[0] is None:
            name = workflow.info().workflow_type
            message = (
                f"{name} takes one JSON object, and was given {len(input.args)} arguments or null."
            )
            raise ApplicationError(message, type="BadInput", non_retryable=True)
        return await super().execute_workflow(input)
