"""`starter.py` as tests drive it: in a home of its own, with nothing of the tests' environment."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perdure.hosting.home import Home
from perdure.hosting.ports import free_port

STARTER = Path(__file__).parent.parent / "starter.py"


class CommandLine:
    """Runs `starter.py` in a home of its own."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home = Home(home)
        self._environment = environment

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.begin(*arguments)
        output, errors = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(STARTER), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").stdout)


def environment_for(model_url: str) -> dict[str, str]:
    """What a command is given that is to use this model, and no server of another home."""
    ours = ("TEMPORAL_", "PERDURE_", "OPENAI_", "DATABASE_URL")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return inherited | {
        "TEMPORAL_CONFIG_FILE": os.devnull,
        "OPENAI_BASE_URL": model_url,
        "OPENAI_API_KEY": "none",
        "PERDURE_MODEL": "scripted",
        # Set, so that no server which happens to run on this machine is taken instead.
        "PERDURE_PORT": str(free_port()),
    }


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
