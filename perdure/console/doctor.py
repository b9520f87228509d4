"""What Perdure needs on this machine: found or not, which version, and the cure."""

import asyncio
import os
import platform
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import version

from perdure.connection import connect, has_worker, is_configured
from perdure.console.display import print_json, results, say, table
from perdure.errors import PerdureError
from perdure.hosting.home import Home
from perdure.hosting.server import binary
from perdure.model.catalog import Catalog
from perdure.model.local.gguf import find_gguf, require_engine
from perdure.sandbox.docker.backend import Docker
from perdure.sandbox.host.backend import Host
from perdure.settings import Settings
from perdure.store.reader import is_made, reading


@dataclass(frozen=True, slots=True)
class Finding:
    """One part; `cure` is set when it is not here."""

    part: str
    detail: str
    cure: str | None = None
    is_needed: bool = True
    """Whether nothing else can take its place."""

    @property
    def found(self) -> bool:
        return self.cure is None

    @property
    def mark(self) -> str:
        if self.found:
            return "ok"
        return "missing" if self.is_needed else "absent"


async def doctor(settings: Settings, *, as_json: bool) -> int:
    """Look at each part and print what is here; nothing is started. The command's exit code."""
    findings = [finding async for finding in _findings(settings)]
    code = int(any(finding.mark == "missing" for finding in findings))
    if as_json:
        print_json(findings)
        return code
    rows = [(finding.mark, finding.part, finding.detail) for finding in findings]
    results().print(table(["", "part", "what is here"], rows))
    for finding in findings:
        if not finding.found:
            say(f"{finding.part}: {finding.cure}")
    return code


async def _findings(settings: Settings) -> AsyncIterator[Finding]:
    yield Finding("python", platform.python_version())
    yield Finding("perdure", f"{version('perdure')}, temporalio {version('temporalio')}")
    yield _data_directory(settings)
    yield await _temporal_program()
    yield await _server(settings)
    yield await _store(settings)
    yield _model(settings)
    async for finding in _sandboxes(settings):
        yield finding


def _data_directory(settings: Settings) -> Finding:
    place = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        cure = "Set PERDURE_HOME to a directory that you may write."
        return Finding("data directory", f"{place} cannot be written", cure)
    free = shutil.disk_usage(place).free / 1e9
    return Finding("data directory", f"{settings.home}, {free:.0f} GB free")


async def _temporal_program() -> Finding:
    try:
        program = binary()
    except PerdureError as error:
        return Finding("temporal", "not found", str(error))
    asked = await asyncio.create_subprocess_exec(
        program, "--version", stdout=asyncio.subprocess.PIPE
    )
    words, _ = await asked.communicate()
    return Finding("temporal", words.decode().strip().removeprefix("temporal version "))


async def _server(settings: Settings) -> Finding:
    if not is_configured():
        host = Home(settings.home).host()
        detail = f"running at {host.address}, {host.ui_url}" if host else "starts when needed"
        return Finding("server", f"embedded, {detail}")
    try:
        client = await connect()
    except PerdureError as error:
        return Finding("server", "not reachable", str(error))
    address = client.service_client.config.target_host
    if not await has_worker(client):
        cure = "Start `worker.py` with the same TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE."
        return Finding("server", f"{address} answers, but no worker polls it", cure)
    return Finding("server", f"{address}, with a worker")


async def _store(settings: Settings) -> Finding:
    if not is_made(settings):
        return Finding("store", f"{settings.home / 'store.db'}, made when needed")
    try:
        async with reading(settings) as store:
            return Finding("store", store.engine.url.render_as_string(hide_password=True))
    except PerdureError as error:
        return Finding("store", "cannot be used", str(error))


async def _sandboxes(settings: Settings) -> AsyncIterator[Finding]:
    docker, bwrap = Docker(settings.sandbox_image, home=""), Host(settings.home, "bwrap")
    problems = {"docker": await docker.problem(), "bwrap": await bwrap.problem()}
    await docker.close()
    wanted, has_none = settings.sandbox, all(problems.values())
    details = {"docker": f"with the image {settings.sandbox_image}", "bwrap": "works"}
    for kind, problem in problems.items():
        detail = "cannot be used" if problem else details[kind]
        is_needed = wanted == kind or (wanted == "auto" and has_none)
        yield Finding(f"sandbox: {kind}", detail, problem, is_needed)


def _model(settings: Settings) -> Finding:
    try:
        catalog = Catalog(os.environ, settings.home / "models.toml")
        model = catalog.find(catalog.default)
        if model.is_local:
            return _local_model()
        catalog.key_of(model)
    except PerdureError as error:
        return Finding("model", "cannot be used", str(error))
    return Finding("model", f"{model.name} at {model.base_url}")


def _local_model() -> Finding:
    require_engine()
    better = "set OPENAI_API_KEY or OPENAI_BASE_URL for a capable one"
    return Finding("model", f"local, {find_gguf().name}; {better}")
