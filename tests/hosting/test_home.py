"""What the processes of a data directory leave there for each other."""

import os
from pathlib import Path

import pytest

from perdure.errors import ServerError
from perdure.hosting.home import Home, HostRecord, differences, fingerprints
from perdure.hosting.lock import FileLock


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.prepare(tmp_path / "home")


def test_a_directory_that_cannot_be_made_is_an_error_with_a_cure(tmp_path: Path) -> None:
    """The sentence names the directory, the cause and the variable."""
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "home"
    with pytest.raises(ServerError, match=f"{place} cannot be written: .*PERDURE_HOME"):
        Home.prepare(place)


def test_a_host_is_there_while_it_holds_its_lock(home: Home) -> None:
    """The record that a killed host has left behind counts for nothing."""
    record = HostRecord(pid=os.getpid(), address="127.0.0.1:1")
    home.announce(record)
    assert home.host() is None
    lock = FileLock(home.host_lock)
    lock.try_acquire()
    assert home.host() == record
    lock.close()
    assert home.host() is None


def test_a_host_that_could_not_start_is_none(home: Home) -> None:
    """Its record says why, for the command that started it."""
    FileLock(home.host_lock).try_acquire()
    home.announce(HostRecord(pid=os.getpid(), problem="No port."))
    assert home.host() is None
    record = home.last_record()
    assert record is not None
    assert record.problem == "No port."


def test_detached_runs_are_remembered_until_they_are_forgotten(home: Home) -> None:
    """A marker survives every process, and forgetting one twice is harmless."""
    home.detach("agent-b")
    home.detach("agent-a")
    assert home.detached() == ["agent-a", "agent-b"]
    home.forget("agent-a")
    home.forget("agent-a")
    assert home.detached() == ["agent-b"]


def test_a_host_with_another_key_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host keeps the environment that it was started with."""
    monkeypatch.setenv("OPENAI_API_KEY", "old")
    record = HostRecord(pid=1, environment=fingerprints(os.environ))
    assert differences(record) == []
    monkeypatch.setenv("OPENAI_API_KEY", "new")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://model")
    monkeypatch.setenv("SOMETHING", "else")
    assert differences(record) == ["OPENAI_API_KEY", "OPENAI_BASE_URL"]


def test_a_fingerprint_does_not_show_the_value() -> None:
    """Keys never reach the disk."""
    assert "secret" not in str(fingerprints({"OPENAI_API_KEY": "secret"}))
