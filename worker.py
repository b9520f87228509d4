"""Composition root: builds every client, and hosts the workflow and the activities."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, TypedDict

import typer
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.act import Act
from activities.runs import Runs
from activities.sandboxing import Sandboxing
from activities.teams import TeamRuns
from activities.think import Think
from perdure.agents import Agents
from perdure.connection import (
    cluster,
    connect,
    is_configured,
    register_search_attributes,
    run_guarded,
)
from perdure.contracts import ACT_QUEUE, TASK_QUEUE, THINK_QUEUE
from perdure.errors import PerdureError
from perdure.hosting.host import HostExists, hosting
from perdure.model.catalog import Catalog
from perdure.model.client import Models
from perdure.model.local.child import LocalModel
from perdure.model.thinker import Thinker
from perdure.opening import Opening
from perdure.sandbox.docker.backend import Docker
from perdure.sandbox.files.checkpoints import Checkpoints
from perdure.sandbox.host.backend import Host
from perdure.sandbox.host.folders import Folders
from perdure.sandbox.machine import machine_of
from perdure.sandbox.reaper import keep_reaping
from perdure.sandbox.sandboxes import Sandboxes, queue_of
from perdure.secrets import MaskingFilter, Secrets
from perdure.settings import Settings
from perdure.store.migrate import migrate
from perdure.store.store import Store
from perdure.teams.files import Teams
from perdure.teams.opening import TeamOpening
from perdure.teams.roll import RollCaller
from perdure.tools.mcp.pool import McpServers
from perdure.tools.registry import Registry
from perdure.tools.runner import Runner
from workflows.agent import AgentWorkflow
from workflows.guard import OneObject
from workflows.team import TeamWorkflow

ROLES = ("agent", "think", "act")
APPLICATION = Path(__file__).resolve().parent


class Common(TypedDict):
    build_id: str
    graceful_shutdown_timeout: timedelta
    max_heartbeat_throttle_interval: timedelta
    sticky_queue_schedule_to_start_timeout: timedelta


COMMON = Common(
    # Named, because otherwise the SDK compiles every loaded module for a digest: four seconds.
    build_id=version("perdure"),
    graceful_shutdown_timeout=timedelta(seconds=20),
    # Bounds how late a cancellation is heard of, and how much heartbeat detail a crash loses.
    max_heartbeat_throttle_interval=timedelta(seconds=1),
    # How long a run waits for a worker that has died, before another one takes it over.
    sticky_queue_schedule_to_start_timeout=timedelta(seconds=3),
)
CALLS_AT_ONCE = 1000
"""On one machine, most of which only wait; a call that finds no room in time moves its run away."""
# The sandbox costs a third of a step's processor time. It watches over the workflows in the
# tests instead, which also replay recorded histories.
RUNNER = UnsandboxedWorkflowRunner()


@asynccontextmanager
async def serving(client: Client, settings: Settings, roles: Sequence[str]) -> AsyncIterator[None]:
    """Host the roles until the block ends; activities that run then are given time to finish."""
    async with AsyncExitStack() as stack:
        store = await _store(stack, settings)
        sandboxes = build_sandboxes(settings, store)
        stack.push_async_callback(sandboxes.release)
        workers = await _workers(stack, client, settings, store, sandboxes)
        chosen = [worker for role in roles for worker in workers[role]]
        for worker in chosen:
            await stack.enter_async_context(worker)
        if "act" in roles:
            reaping = asyncio.create_task(keep_reaping(client, sandboxes))
            stack.callback(reaping.cancel)
        try:
            yield
        finally:
            await asyncio.gather(*(worker.shutdown() for worker in chosen))


async def _store(stack: AsyncExitStack, settings: Settings) -> Store:
    store = await Store.open(settings.store_url)
    stack.push_async_callback(store.close)
    await migrate(store.engine)
    return store


async def _workers(
    stack: AsyncExitStack, client: Client, settings: Settings, store: Store, sandboxes: Sandboxes
) -> dict[str, list[Worker]]:
    local = LocalModel()
    stack.push_async_callback(local.close)
    catalog = Catalog(os.environ, settings.home / "models.toml")
    models = Models(catalog, local.url)
    stack.push_async_callback(models.close)
    servers = McpServers(
        [settings.home / ".mcp.json", Path.cwd() / ".mcp.json"], settings.home / "mcp"
    )
    stack.push_async_callback(servers.close)
    await servers.open()
    return build_workers(client, settings, store, models, Registry.load(servers), sandboxes)


def build_sandboxes(settings: Settings, store: Store) -> Sandboxes:
    """The sandboxes of this machine; the caller releases them."""
    machine, root = machine_of(settings.home), settings.home / "sandboxes"
    return Sandboxes(
        store,
        Checkpoints(store, private=[settings.home]),
        {
            "docker": Docker(settings.sandbox_image, machine),
            "bwrap": Host(root, "bwrap"),
            "none": Host(root, "none"),
            "folder": Folders(root),
        },
        machine=machine,
        cluster=cluster(),
        locks=settings.home / "locks",
        kind=settings.sandbox,
    )


def build_workers(
    client: Client,
    settings: Settings,
    store: Store,
    models: Models,
    registry: Registry,
    sandboxes: Sandboxes,
) -> dict[str, list[Worker]]:
    """The workers of each role, from parts that the caller has opened and closes."""
    agents = Agents([APPLICATION / "agents", settings.home / "agents"])
    opening = Opening(
        store,
        agents,
        models.catalog,
        registry,
        max_depth=settings.max_depth,
        max_children=settings.max_children,
    )
    runs = Runs(opening, store)
    known = Teams([APPLICATION / "teams", settings.home / "teams"])
    teams = TeamRuns(
        TeamOpening(store, agents, known, models.catalog, registry), RollCaller(store, client)
    )
    think = Think(Thinker(store, models, registry))
    act = Act(Runner(store, registry, sandboxes, Secrets(os.environ)))
    sandboxing = Sandboxing(sandboxes)
    return {
        "agent": [
            Worker(
                client,
                task_queue=TASK_QUEUE,
                workflows=[AgentWorkflow, TeamWorkflow],
                activities=[runs.open_run, runs.close_run, teams.open_team, teams.call_roll],
                workflow_runner=RUNNER,
                interceptors=[OneObject()],
                **COMMON,
            )
        ],
        "think": [
            Worker(
                client,
                task_queue=THINK_QUEUE,
                activities=[think.think],
                max_concurrent_activities=CALLS_AT_ONCE,
                **COMMON,
            )
        ],
        "act": [
            Worker(client, task_queue=ACT_QUEUE, activities=[sandboxing.open_sandbox], **COMMON),
            Worker(
                client,
                task_queue=queue_of(sandboxes.machine),
                activities=[act.act, sandboxing.close_sandbox],
                max_concurrent_activities=CALLS_AT_ONCE,
                **COMMON,
            ),
        ],
    }


async def serve(roles: Sequence[str]) -> None:
    """Serve the configured cluster, or this home's own server, until a signal comes."""
    stop = _stop_signal()
    settings = Settings.load()
    if not is_configured():
        await _serve_home(settings, roles, stop, unasked=False)
        return
    client = await connect()
    await register_search_attributes(client)
    async with serving(client, settings, roles):
        await stop.wait()


async def serve_commands() -> None:
    """Be the host of this home, which its commands start and which ends after the last of them."""
    try:
        await _serve_home(Settings.load(), ROLES, _stop_signal(), unasked=True)
    except HostExists:
        return  # two commands started one each, and the other one's was first


async def _serve_home(
    settings: Settings, roles: Sequence[str], stop: asyncio.Event, *, unasked: bool
) -> None:
    # A host that is about to end is waited for by a worker that a person started.
    async with hosting(settings, patience=0.5 if unasked else 30.0) as host:
        if host.is_guest:
            await register_search_attributes(host.client)
        async with serving(host.client, settings, roles):
            host.announce()
            await host.stay(stop, unasked=unasked)


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _roles(text: str) -> list[str]:
    roles = [role.strip() for role in text.split(",") if role.strip()]
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        message = f"Role '{', '.join(unknown)}' is unknown. Known roles: {', '.join(ROLES)}."
        raise typer.BadParameter(message)
    return roles


def _log() -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(MaskingFilter(Secrets(os.environ)))
    logging.getLogger("perdure").setLevel(logging.INFO)
    # A traceback for each line of an MCP server that is no message; what matters we say ourselves.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)


def main(
    roles: Annotated[
        str, typer.Option(metavar="LIST", help="What to host: agent, think, act.")
    ] = ",".join(ROLES),
    host: Annotated[bool, typer.Option("--host", hidden=True)] = False,
) -> None:
    """Host runs until SIGTERM or Ctrl-C.

    With TEMPORAL_ADDRESS set it serves that cluster; otherwise it starts the embedded server.
    """
    _log()
    chosen = _roles(roles)
    try:
        run_guarded(serve_commands() if host else serve(chosen))
    except PerdureError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    typer.run(main)
