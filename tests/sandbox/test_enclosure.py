"""What an enclosed command can reach, and what it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.sandbox.inside import enclosure, seccomp
from perdure.sandbox.inside.child import fork
from tests.sandbox.supervised import Box

CALLS = """
import ctypes, errno, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    return errno.errorcode[ctypes.get_errno()] if libc.syscall(*arguments) < 0 else "OK"
def family(number, kind=socket.SOCK_STREAM):
    try:
        socket.socket(number, kind).close()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "OK"
X86 = dict(unshare=(272, 0x10000000), clone=(56, 0x10000011, 0, 0, 0, 0), clone3=(435, 0, 0),
    bpf=(321, 0, 0, 0), keyctl=(250, 0, 0), perf=(298, 0, 0, -1, -1, 0), uffd=(323, 0),
    io_uring=(425, 1, 0), x32=(0x40000000 + 39,))
for name, arguments in X86.items():
    print(name, call(*arguments))
FAMILIES = dict(VSOCK=40, ALG=38, PACKET=17, BLUETOOTH=31, UNIX=1, INET=2, INET6=10)
for name, number in FAMILIES.items():
    print(name, family(number))
print("NETLINK", family(socket.AF_NETLINK, socket.SOCK_RAW))
"""

REFUSED = {
    **dict.fromkeys(["unshare", "clone", "bpf", "keyctl", "perf", "uffd", "io_uring"], "EPERM"),
    **dict.fromkeys(["VSOCK", "ALG", "PACKET", "BLUETOOTH"], "EAFNOSUPPORT"),
    **dict.fromkeys(["UNIX", "INET", "INET6", "NETLINK"], "OK"),
    "clone3": "ENOSYS",
    "x32": "EPERM",
}

ULIMITS = "ulimit -c; ulimit -n; ulimit -f; umask"

on_x86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64 are tried")


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A sandbox of bubblewrap."""
    return Box(tmp_path, "bwrap")


def answers(text: str) -> dict[str, str]:
    return dict(line.split() for line in text.splitlines())


@on_x86_64
def test_calls_into_the_depths_of_the_kernel_are_refused(box: Box) -> None:
    """And with them a second namespace of users; ordinary sockets are there."""
    assert answers(box.run(["python3", "-c", CALLS]).text) == REFUSED


@on_x86_64
def test_the_filter_can_be_put_on_a_process_without_bubblewrap(tmp_path: Path) -> None:
    """As it is in a container, stacked on the engine's own."""
    file = tmp_path / "answers"

    def work() -> None:
        seccomp.install()
        file.write_text(subprocess.check_output([sys.executable, "-c", CALLS], text=True))

    os.waitpid(fork(work, keep=2), 0)
    assert answers(file.read_text()) == REFUSED


def test_the_filter_is_whole_for_each_machine_that_it_knows() -> None:
    """Eight bytes for each step; nothing for a machine whose numbers are not known."""
    assert len(seccomp.program("x86_64")) == len(seccomp.program("aarch64")) > 0
    assert len(seccomp.program("x86_64")) % 8 == 0
    assert seccomp.program("riscv64") == b""


def test_the_agent_is_a_user_without_privileges(box: Box) -> None:
    """Named, in its workspace, with no capability."""
    ended = box.run("id -un; hostname; pwd; grep CapEff /proc/self/status")

    assert ended.text.split() == ["agent", "sandbox", "/workspace", "CapEff:", "0" * 16]


def test_only_the_workspace_and_temporary_files_can_be_written(box: Box) -> None:
    """The root, the devices and the system are read-only."""
    ended = box.run("for f in /x /dev/x /etc/x /usr/x; do echo > $f; done; touch /tmp/y y; ls y")

    assert ended.text.count("Read-only file system") == 4 and ended.text.endswith("y\n")


def test_temporary_files_are_limited_in_size(box: Box) -> None:
    """They are memory that no process seems to hold."""
    ended = box.run("for d in /tmp /dev/shm; do head -c 200M /dev/zero > $d/x; done", disk_mb=900)

    assert ended.text.count("No space left") == 2


def test_temporary_files_are_limited_in_number(box: Box) -> None:
    """Each takes memory of the kernel."""
    script = "import time\nfor n in range(60_000): open(f'/tmp/{n}', 'w')\ntime.sleep(30)"

    assert box.run(["python3", "-c", script]).ended == "disk"


def test_nothing_of_the_host_is_shown_but_its_system(box: Box, tmp_path: Path) -> None:
    """No home, no state of the sandbox, no private key, no process."""
    places = f"{tmp_path} {box.state} /home /var/run /etc/ssl/private /etc/shadow /sys"
    ended = box.run(f"ls -d {places} 2>/dev/null; ls -d /proc/[0-9]* | wc -l")

    assert int(ended.text) <= 5


def test_the_network_is_closed(box: Box) -> None:
    """Not even the host's loopback is reached."""
    assert "lo:" in box.run("cat /proc/net/dev").text
    assert box.run("wc -l < /proc/net/dev").text.strip() == "3"


def test_python_is_found_wherever_it_is_installed(box: Box) -> None:
    """Ours is shown at its own place, and is on the path."""
    ended = box.run([enclosure.python(), "-c", "import sys, json; print(sys.base_prefix)"])

    assert ended.text.strip() == sys.base_prefix


def test_this_program_is_shown_inside(box: Box) -> None:
    """So that operations on files can be carried out in there."""
    assert "enclosure.py" in box.run(f"ls {enclosure.INSIDE}/inside").text


def test_a_variable_of_the_command_does_not_reach_bubblewrap_itself(box: Box) -> None:
    """Or a library from the workspace would be loaded outside of it."""
    library = str(box.workspace / "evil.so")
    (box.workspace / "evil.so").write_text("no library")
    ended = box.run("echo $LD_PRELOAD", environment={"LD_PRELOAD": library})

    # Loaded outside, where it can be found, it would be called invalid.
    assert "invalid ELF header" not in ended.text and ended.text.endswith(f"{library}\n")


def test_children_take_on_the_limits(tmp_path: Path) -> None:
    """No core dumps, not more files than allowed, none longer than the disk may fill."""
    file = tmp_path / "limits"

    def work() -> None:
        enclosure.drop(Box(tmp_path, "none").config())
        file.write_text(subprocess.check_output(["sh", "-c", ULIMITS], text=True))

    os.waitpid(fork(work, keep=2), 0)
    assert file.read_text().split() == ["0", "4096", str(64 << 11), "0022"]


def test_without_an_enclosure_nothing_stands_before_a_command(tmp_path: Path) -> None:
    """There is no prefix."""
    assert enclosure.prefix(Box(tmp_path, "none").config()) == []
