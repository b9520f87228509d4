"""The requests that the server answers: commands, and what is done to the files."""

import asyncio
import json
from pathlib import Path
from typing import Any

from . import operate
from .changes import Indexes
from .connection import Show
from .operations import Refused
from .steps import Failed, Steps

Answer = tuple[Any, bytes]

_READY = "ready"


class Requests:
    """Each takes its arguments, its data and a way to show output; it gives a value and data."""

    def __init__(self, config: dict[str, Any], steps: Steps) -> None:
        self._config = config
        self._steps = steps
        self._indexes = Indexes()
        self._scanning = asyncio.Lock()
        self.by_name = {
            "run": self._run,
            "recall": self._recall,
            "stop": self._stop,
            "operate": self._operate,
            "changes": self._changes,
            "adopt": self._adopt,
            "pieces": self._pieces,
            "ready": self._make_ready,
        }

    @property
    def is_ready(self) -> bool:
        """Whether the files are there with which the sandbox begins."""
        return Path(_READY).exists()

    async def _run(self, asked: dict[str, Any], stdin: bytes, show: Show) -> Answer:
        step = self._steps.begin(asked["step"], asked["digest"], asked["command"], stdin)
        return await self._steps.follow(step, show)

    async def _recall(self, asked: dict[str, Any], data: bytes, show: Show) -> Answer:
        step = self._steps.recall(asked["step"], asked["digest"])
        if step is None:
            return {"state": "never", "head": 0}, b""
        return await self._steps.follow(step, show)

    async def _stop(self, asked: dict[str, Any], data: bytes, show: Show) -> Answer:
        if step := self._steps.find(asked["step"]):
            await self._steps.stop(step)
        return None, b""

    async def _operate(self, asked: dict[str, Any], data: bytes, show: Show) -> Answer:
        return _said(await operate.operate(self._config, asked, data))

    async def _changes(self, asked: dict[str, Any], data: bytes, show: Show) -> Answer:
        async with self._scanning:
            index = self._indexes.find(asked["base"])
            if index is None:
                return {"unknown": True}, b""
            delta, _ = _said(await operate.scan(self._config, index))
            found = {"changes": delta["changes"], "notes": delta["notes"]}
            return {"id": self._indexes.advance(index, delta), **found}, b""

    async def _adopt(self, asked: dict[str, Any], data: bytes, show: Show) -> Answer:
        self._indexes.adopt(asked["id"], json.loads(data))
        return None, b""

    async def _pieces(self, asked: dict[str, Any], data: bytes, show: Show) -> Answer:
        return _said(await operate.pieces(self._config, asked["pieces"]))

    async def _make_ready(self, asked: dict[str, Any], data: bytes, show: Show) -> Answer:
        _touch(_READY)
        return None, b""


def _touch(name: str) -> None:
    Path(name).touch()


def _said(reply: tuple[dict[str, Any], bytes]) -> Answer:
    message, data = reply
    if "refused" in message:
        raise Refused(message["refused"])
    if "failed" in message:
        raise Failed(message["failed"])
    return message["value"], data
