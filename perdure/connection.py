"""How a process connects to Temporal, and how it ends without a crash."""

import asyncio
import gc
import logging
from collections.abc import Coroutine
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar
from uuid import uuid4

from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.envconfig import ClientConnectConfig as Configuration
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)
from temporalio.service import RPCError, RPCStatusCode

from perdure import attributes
from perdure.contracts import TASK_QUEUE
from perdure.errors import ServerError

T = TypeVar("T")

CORE_LOG = "temporalio.core"
"""The logger to which the SDK's Rust core writes."""
USUAL_ADDRESS = "127.0.0.1:7233"
_CONNECT_TIMEOUT = timedelta(seconds=10)
_BETWEEN_UPDATES = (0.1, 0.2, 0.5, 1.0)
_FORBIDDEN = {RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED}

logger = logging.getLogger(__name__)


def configuration() -> Configuration:
    """What the `TEMPORAL_*` variables and the profile that they name say."""
    try:
        return ClientConfig.load_client_connect_config()
    except RuntimeError as error:
        message = (
            f"The Temporal client configuration cannot be used: {error}."
            " Correct the TEMPORAL_* variables or the profile that they name."
        )
        raise ServerError(message) from None


def is_configured() -> bool:
    """Whether the environment or a profile names a Temporal server."""
    return "target_host" in configuration()


def cluster() -> str:
    """The server that is used here, as a name: its address and namespace, or that it is ours."""
    found = configuration()
    address = found.get("target_host")
    return f"{address}/{found.get('namespace', 'default')}" if address else "embedded"


async def connect(address: str | None = None, *, timeout: timedelta = _CONNECT_TIMEOUT) -> Client:
    """A client of the server at `address`, or of the one that the environment configures."""
    target: Configuration = {"target_host": address} if address else configuration()
    target.setdefault("target_host", USUAL_ADDRESS)
    try:
        return await Client.connect(
            **target,
            data_converter=pydantic_data_converter,
            connect_timeout=timeout,
            runtime=_runtime(),
        )
    except (RuntimeError, RPCError) as error:
        message = (
            f"No Temporal server can be reached at {target['target_host']}: {error}."
            " Start it, correct TEMPORAL_ADDRESS, or unset it to use the embedded server."
        )
        raise ServerError(message) from error


@cache
def _runtime() -> Runtime:
    # By default the core writes its log to standard output, between a command's results.
    forwarding = LogForwardingConfig(logger=logging.getLogger(CORE_LOG))
    level = TelemetryFilter(core_level="WARN", other_level="ERROR")
    logs = LoggingConfig(filter=level, forwarding=forwarding)
    return Runtime(telemetry=TelemetryConfig(logging=logs))


async def register_search_attributes(client: Client) -> None:
    """Make the server know our search attributes; a server that forbids it gets a warning."""
    try:
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
        missing = {
            key.name: IndexedValueType.ValueType(key.indexed_value_type)
            for key in attributes.ALL
            if key.name not in known.custom_attributes
        }
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
    except RPCError as error:
        if error.status not in _FORBIDDEN:
            raise
        names = ", ".join(key.name for key in attributes.ALL)
        logger.warning("The server does not let us register search attributes; add %s.", names)


async def has_worker(client: Client) -> bool:
    """Whether some worker waits for runs to carry out."""
    queue = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=TASK_QUEUE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    return bool(queue.pollers)


async def describe(client: Client, workflow_id: str) -> WorkflowExecutionDescription | None:
    """The newest run of that id; None for one that Temporal does not know."""
    try:
        return await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise


async def execute_update(client: Client, workflow_id: str, update: Any, *arguments: Any) -> None:
    """Have the workflow take the update in, once.

    One that comes while the workflow continues as new is refused by the server: it is sent again.
    """
    handle, id = client.get_workflow_handle(workflow_id), uuid4().hex
    for seconds in (*_BETWEEN_UPDATES, None):
        try:
            await handle.execute_update(update, *arguments, id=id)
        except RPCError as error:
            if error.status != RPCStatusCode.FAILED_PRECONDITION or seconds is None:
                raise
            await asyncio.sleep(seconds)
        else:
            return


def run_guarded(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, for every process that has used Temporal."""
    try:
        return asyncio.run(main)
    finally:
        # Objects of the Rust core that are still alive at the interpreter's exit can crash it,
        # which would turn the exit code into 139.
        gc.collect()
