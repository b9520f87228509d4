"""Bytes and milliseconds a step as a run grows, in Temporal's history and in the store.

Each step is a reply of 1 KB and a tool's result of 1 KB, by a scripted model on HTTP.

    python benchmarks/growth.py [--steps 10,100,1000]
"""

import argparse
import asyncio
import os
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from perdure.connection import connect, run_guarded
from perdure.contracts import TASK_QUEUE, AgentRequest, AgentResult, Limits
from perdure.server import EmbeddedServer
from perdure.settings import Settings
from perdure.testing.replies import Reply, call, calls, finish
from perdure.testing.script import ChatRequest
from perdure.testing.scripted_model import ScriptedModel
from workflows.agent import AgentWorkflow

TEXT = "0123456789abcdef" * 64


@dataclass
class Growth:
    """One run: its result, and what each of its steps added."""

    result: AgentResult
    runs: int
    """Links of the chain that continue-as-new made."""
    history: list[int]
    """Bytes of each step's events."""
    store: list[int]
    """Size of the store's database at the beginning of each step, and at the end."""
    times: list[float]
    """When the model was asked, in seconds."""

    def history_bytes(self, first: int, last: int) -> float:
        """Bytes a step from step `first` (counted from 0) up to `last`."""
        return sum(self.history[first:last]) / (last - first)

    def store_bytes(self, first: int, last: int) -> float:
        return (self.store[last] - self.store[first]) / (last - first)

    def milliseconds(self, first: int, last: int) -> float:
        return (self.times[last] - self.times[first]) / (last - first) * 1e3


@dataclass
class _Watch:
    """What the scripted model sees: how far the run is, and how large the store is by then."""

    steps: int
    database: Path
    store: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def reply(self, request: ChatRequest) -> Reply:
        self.times.append(request.time)
        self.store.append(_size(self.database))
        step = len(self.times)
        if step == 1:
            return call("write_file", path="note.txt", content=TEXT)
        if step > self.steps:
            return finish("done")
        return calls(call(*(("list_files",) if step % 50 == 0 else ("read_file",)), **_arguments(step)), say=TEXT)
