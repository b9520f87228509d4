"""The ports of the embedded server."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.errors import ServerError
from perdure.hosting.ports import Ports
from perdure.settings import Settings


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_home_keeps_its_ports(tmp_path: Path) -> None:
    """A run's Web UI address stays the same from one command to the next."""
    settings = Settings(home=tmp_path)
    assert Ports.choose(settings) == Ports.choose(settings)


def test_the_front_end_never_takes_the_usual_port(tmp_path: Path) -> None:
    """On 7233 another home's command would find the server and share it by accident."""
    assert Ports.choose(Settings(home=tmp_path)).grpc != 7233


def test_a_kept_port_that_another_program_has_taken_is_replaced(tmp_path: Path, taken: int) -> None:
    """A remembered port is a preference, not a demand."""
    (tmp_path / "ports.json").write_text(Ports(grpc=taken, ui=taken, http=taken).model_dump_json())
    assert taken not in Ports.choose(Settings(home=tmp_path)).model_dump().values()


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(tmp_path: Path, taken: int) -> None:
    """The sentence names the port, the variable and what to do."""
    with pytest.raises(ServerError, match=f"Port {taken}, set by PERDURE_UI_PORT, is in use"):
        Ports.choose(Settings(home=tmp_path, ui_port=taken))


def test_a_file_that_makes_no_sense_is_forgotten(tmp_path: Path) -> None:
    """A half-written memory of ports must not keep a home from starting."""
    (tmp_path / "ports.json").write_text("{")
    assert Ports.choose(Settings(home=tmp_path)).grpc
