"""The scripted model in a process of its own, for benchmarks and for tests that crash things."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

from perdure.testing.script import Attempts, dump_script


class ScriptedModelProcess:
    """A server process for as long as its `with` block lasts, and no longer than its parent."""

    url: str
    """The base URL, `http://127.0.0.1:PORT/v1`."""

    def __init__(self, script: Mapping[str, Sequence[Attempts]]) -> None:
        self._script = script

    def __enter__(self) -> Self:
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            Path(file.name).write_bytes(dump_script(self._script))
            command = [sys.executable, "-m", "perdure.testing.scripted_model"]
            self._process = subprocess.Popen(
                [*command, "--script", file.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C for the test is not for its model
            )
            assert self._process.stdout
            self.url = self._process.stdout.readline().decode().strip()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()

    def requests(self) -> list[dict[str, Any]]:
        """The requests so far: fields as in `ChatRequest`, without bodies."""
        with urlopen(self.url.removesuffix("/v1") + "/requests") as reply:
            requests: list[dict[str, Any]] = json.load(reply)
        return requests

    def served(self, task_contains: str = "", place: int | None = None) -> int:
        """How many complete replies were sent: what a provider would have charged for."""
        return sum(
            each["served"] and task_contains in each["task"] and place in (None, each["place"])
            for each in self.requests()
        )
