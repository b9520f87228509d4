"""The program: `serve CONFIG`, `start CONFIG`, `relay SOCKET` or `operate`."""

import asyncio
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import frames, operate
from .holder import PID, take
from .server import Server

_SOCKET_SECONDS = 10.0
_CHUNK = 2**16


def main() -> None:
    """Do what the arguments say."""
    match sys.argv[1:]:
        case ["serve", config]:
            _serve(config, lambda: None)
        case ["start", config]:
            _start(config)
        case ["relay", path]:
            _relay(path)
        case ["operate"]:
            _operate()
        case _:
            sys.exit("Arguments: serve CONFIG | start CONFIG | relay SOCKET | operate.")


def _serve(file: str, tell_ready: Callable[[], None]) -> None:
    """Be the sandbox's server; where one lives already there is nothing to do."""
    config = json.loads(Path(file).read_bytes())
    os.umask(0o077)
    os.chdir(config["state"])  # short names: a socket's may have 107 bytes
    Path().chmod(0o700)  # some engines open a volume to all
    if take(Path()) is None:
        return
    Path(PID).write_text(str(os.getpid()))
    _give(config)
    asyncio.run(Server(config).serve(tell_ready))


def _give(config: dict[str, Any]) -> None:
    """Make the workspace the agent's own; a volume is root's when it is new."""
    uid = config["uid"]
    if uid is not None and Path(config["root"]).stat().st_uid != uid:
        os.chown(config["root"], uid, uid)


def _start(file: str) -> None:
    """Begin a server that outlives this process, which ends when the server can be reached."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        os.read(reading, 1)  # or the end of the pipe: there is one already, or the log says why
        return
    os.setsid()
    os.close(reading)
    _serve(file, lambda: os.close(writing))


def _relay(path: str) -> None:
    """Copy between standard input and output and the socket, until either side ends."""
    with _connected(path) as connection:
        ended = threading.Event()
        for source, target in ((0, connection.fileno()), (connection.fileno(), 1)):
            threading.Thread(target=_copy, args=(source, target, ended), daemon=True).start()
        ended.wait()
        os._exit(0)  # the other direction is not waited for


def _connected(path: str) -> socket.socket:
    deadline = time.monotonic() + _SOCKET_SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            if time.monotonic() > deadline:
                sys.exit(f"No shim listens on {path} after {_SOCKET_SECONDS:g} seconds.")
            time.sleep(0.01)
        else:
            return connection


def _copy(source: int, target: int, ended: threading.Event) -> None:
    try:
        while chunk := os.read(source, _CHUNK):
            while chunk:
                chunk = chunk[os.write(target, chunk) :]
    except OSError:
        pass  # that side has gone
    finally:
        ended.set()


def _operate() -> None:
    """Answer the one request on standard input; the enclosure is around us already."""
    request = frames.read(sys.stdin.buffer)
    assert request is not None
    sys.stdout.buffer.write(operate.perform(operate.WORKSPACE, *request))
