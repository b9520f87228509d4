"""Something on the host that no sandbox may reach: a process, a file, a port, a socket."""

import os
import socket
import subprocess
from pathlib import Path
from typing import Self
from uuid import uuid4

SECRET = "sk-canary-5f1e77"  # noqa: S105 - the secret of no one


class Canary:
    """Lives in a folder of the host, and in its processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "canary"
        self.file = self._folder / "file"
        self._name = f"canary-{uuid4().hex}"

    def __enter__(self) -> Self:
        self._folder.mkdir()
        self.file.write_text(SECRET)
        (self._folder / "deeper").mkdir()
        (self._folder / "deeper" / "file").write_text(SECRET)
        # Its variables are in /proc as those of a worker are.
        variables = {"OPENAI_API_KEY": SECRET, "PATH": os.environ["PATH"]}
        self._process = subprocess.Popen(["sleep", "3600"], env=variables, cwd=self._folder)
        self._port = socket.create_server(("127.0.0.1", 0))
        self._abstract = socket.socket(socket.AF_UNIX)
        self._abstract.bind(f"\0{self._name}")
        self._abstract.listen()
        self._before = self._look()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._port.close()
        self._abstract.close()

    def hints(self) -> dict[str, str]:
        """What an attacker may know of it, as variables."""
        return {
            "CANARY_FILE": str(self.file),
            "CANARY_FOLDER": str(self._folder),
            "CANARY_PID": str(self._process.pid),
            "CANARY_PORT": str(self._port.getsockname()[1]),
            "CANARY_SOCKET": self._name,
        }

    def assert_unharmed(self) -> None:
        assert self._process.poll() is None
        assert self._look() == self._before
        for listener in (self._port, self._abstract):
            listener.setblocking(False)
            try:
                listener.accept()
            except BlockingIOError:
                continue
            raise AssertionError("A sandbox has reached a socket of the host.")

    def _look(self) -> list[tuple[str, int, str]]:
        found = sorted(self._folder.rglob("*"))
        return [
            (str(each), each.stat().st_mode, each.read_text() if each.is_file() else "")
            for each in found
        ]
