"""Logs outside the workspace: only those that an operator has opened."""

import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from perdure.errors import ToolError
from perdure.tools.log_sources import LARGEST, end_of_container, end_of_file


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with a log, beside a secret."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "logs" / "app").mkdir(parents=True)
    (tmp_path / "logs" / "app" / "a.log").write_text("one\ntwo\n")
    return tmp_path / "logs"


def test_a_file_in_an_open_folder_is_read(logs: Path) -> None:
    """At any depth; a link that stays inside is followed, and so is one to the folder."""
    (logs / "current").symlink_to("app")
    (logs.parent / "alias").symlink_to(logs)
    for path in ("app/a.log", "current/a.log", "app/../app/a.log"):
        assert end_of_file(f"{logs}/{path}", [logs]) == "one\ntwo\n"
    assert end_of_file(f"{logs}/app/a.log", [logs.parent / "alias"]) == "one\ntwo\n"


def test_a_single_file_may_be_open(logs: Path) -> None:
    """And nothing beside it."""
    one = logs / "app" / "a.log"
    assert end_of_file(str(one), [one]) == "one\ntwo\n"
    with pytest.raises(ToolError, match="may not be read"):
        end_of_file(str(logs.parent / "secret"), [one])


@pytest.mark.parametrize("path", ["../secret", "out", "away/secret", "", "../logs-2/a.log", "none"])
def test_what_is_elsewhere_is_refused(logs: Path, path: str) -> None:
    """By name, by link, by a folder's name that only begins alike; and a folder is no log."""
    (logs / "out").symlink_to(logs.parent / "secret")
    (logs / "away").symlink_to(logs.parent)
    (logs.parent / "logs-2").mkdir()
    (logs.parent / "logs-2" / "a.log").write_text("secret")
    with pytest.raises(ToolError, match=r"PERDURE_LOG_PATHS|no regular file|No such file"):
        end_of_file(f"{logs}/{path}", [logs])


def test_nothing_is_open_by_default(logs: Path) -> None:
    """The sentence names the variable, and says the same whether there is such a file or not."""
    for path in (logs / "app" / "a.log", logs / "none"):
        with pytest.raises(ToolError, match="PERDURE_LOG_PATHS, which holds: nothing"):
            end_of_file(str(path), [])
    with pytest.raises(ToolError, match="no file name can hold"):
        end_of_file("/a\0b", [logs])


def test_a_pipe_is_refused(logs: Path) -> None:
    """It would wait for ever for somebody to write."""
    os.mkfifo(logs / "pipe")
    with pytest.raises(ToolError, match="is no regular file"):
        end_of_file(f"{logs}/pipe", [logs])


def test_of_a_large_log_the_end_is_read(logs: Path) -> None:
    """Without the half line with which it begins."""
    (logs / "large").write_bytes(b"x" * 99 + b"\n" + b"0123456789\n" * 200_000)
    end = end_of_file(f"{logs}/large", [logs])
    assert len(end) < LARGEST
    assert set(end.split("\n")) == {"0123456789", ""}


def test_bytes_that_are_not_text_are_shown(logs: Path) -> None:
    """A log may hold anything."""
    (logs / "latin").write_bytes(b"caf\xe9")
    assert end_of_file(f"{logs}/latin", [logs]) == "caf\\xe9"


@pytest.mark.parametrize("name", ["db", "../images", "web/../db", "", "web-1?stdout=0", "web 1"])
def test_a_container_that_is_not_open_is_refused(name: str) -> None:
    """Before any engine is asked; a name cannot become another request to the engine."""
    with pytest.raises(ToolError, match=r"PERDURE_LOG_CONTAINERS, which holds: web-\*"):
        end_of_container(name, ["web-*"], 10)


def test_no_engine_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the name of the container."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(ToolError, match="The log of container 'web' cannot be read: "):
        end_of_container("web", ["*"], 10)


@pytest.fixture
def container(engine: docker.DockerClient, docker_image: str) -> Iterator[Container]:
    """A container that has printed five lines and ended."""
    program = "for i in 1 2 3 4; do echo line $i; done; echo trouble >&2"
    argv = ["sh", "-c", program]
    made = engine.containers.run(docker_image, argv, detach=True, network_mode="none")
    made.wait()
    yield made
    made.remove(force=True)


def test_a_containers_log_is_read(container: Container) -> None:
    """Its last lines, of both streams; it need not be running."""
    # In which order the engine takes down what came by two streams is its own affair.
    assert sorted(end_of_container(str(container.name), ["*"], 9).splitlines()) == [
        *(f"line {number}" for number in (1, 2, 3, 4)),
        "trouble",
    ]
    assert len(end_of_container(str(container.name), ["*"], 2).splitlines()) == 2


def test_a_container_is_named_in_full(container: Container) -> None:
    """The beginning of an id would get round the names that are open."""
    with pytest.raises(ToolError, match="There is no container"):
        end_of_container(container.short_id, ["*"], 9)
    with pytest.raises(ToolError, match="cannot be read: .*No such container"):
        end_of_container("no-such-container", ["*"], 9)
