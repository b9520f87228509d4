"""The worker as a person or a service manager runs it."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.hosting.home import Home
from perdure.hosting.ports import free_port

WORKER = Path(__file__).parent.parent / "worker.py"


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
    ours = {"PERDURE_HOME": str(home), "PERDURE_PORT": str(free_port())}
    return subprocess.Popen(
        [sys.executable, str(WORKER), *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=kept | ours | {"TEMPORAL_CONFIG_FILE": os.devnull},
    )


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker that has started its own server, since none is configured."""
    worker = start(tmp_path)
    deadline = time.monotonic() + 60
    while Home(tmp_path).host() is None:
        assert worker.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    yield worker
    worker.kill()
    worker.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_gracefully(
    tmp_path: Path, running: subprocess.Popen[str], number: signal.Signals
) -> None:
    """It stays without any command, and its exit code says that nothing went wrong."""
    running.send_signal(number)
    running.communicate(timeout=30)
    assert running.returncode == 0
    assert not Home(tmp_path).has_host


def test_an_unknown_role_is_refused(tmp_path: Path) -> None:
    """The sentence names the roles that there are, and the exit code is 2."""
    worker = start(tmp_path, "--roles", "agent,thinker")
    _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 2
    assert "'thinker' is unknown" in errors


def test_a_store_from_a_newer_version_is_refused(tmp_path: Path) -> None:
    """The worker ends with the store's own sentence, and nothing stays behind."""
    with sqlite3.connect(tmp_path / "store.db") as store:
        store.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        store.execute("INSERT INTO alembic_version VALUES ('9999')")
    store.close()
    worker = start(tmp_path)
    _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert "newer version of Perdure" in errors
    assert not Home(tmp_path).has_host
