"""A filter of system calls that no agent's command has use for, stacked on the engine's own.

Sources: the kernel's `Documentation/userspace-api/seccomp_filter.rst`, `syscall_64.tbl` and
`unistd.h` (generic) for the numbers. Engines before 23 leave vsock and io_uring open.
"""

import ctypes
import os
import socket
import struct
from errno import EAFNOSUPPORT, ENOMEM, ENOSYS, EPERM

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# Offsets in `struct seccomp_data`.
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NEW_USER = 0x10000000  # CLONE_NEWUSER
_OTHER_ABI = 0x40000000  # x32's calls begin here; no other number is that high
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2  # prctl

_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
"""The others, as vsock, alg, packet and bluetooth, are ways into the kernel or to the host."""

_DENIED = {
    # io_uring_setup, io_uring_enter, io_uring_register, add_key, request_key, keyctl, bpf,
    # userfaultfd, perf_event_open
    "x86_64": (425, 426, 427, 248, 249, 250, 321, 323, 298),
    "aarch64": (425, 426, 427, 217, 218, 219, 280, 282, 241),
}
_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_*
_SOCKET = {"x86_64": 41, "aarch64": 198}
_NAMESPACES = {"x86_64": (56, 272), "aarch64": (220, 97)}  # clone, unshare
_ABSENT = {
    # semget, msgget: what they make outlives the command and takes memory from the next ones.
    # clone3: its flags are behind a pointer; the C library then takes `clone`.
    "x86_64": (64, 68, 435),
    "aarch64": (190, 186, 435),
}
_SHARED_MEMORY = {"x86_64": 29, "aarch64": 194}  # shmget
_MOST_SHARED = 4096
"""Bytes of one segment, which also outlives its command; PostgreSQL's lock is in one of 56."""
_UNCOUNTED = {
    # memfd_create: memory that no process seems to hold; sched_setaffinity: other processors
    "x86_64": (319, 203),
    "aarch64": (279, 122),
}


def program(machine: str = "", *, counted: bool = True) -> bytes:
    """The filter as the kernel reads it; empty for a machine whose numbers are not known here.

    `counted`: whether the kernel itself, in a control group, bounds memory and processors.
    """
    machine = machine or os.uname().machine
    if machine not in _MACHINES:
        return b""
    return b"".join(
        (
            _step(_LOAD, _ARCHITECTURE),
            _step(_EQUAL, _MACHINES[machine], 1, 0),
            _refuse(EPERM),
            _step(_LOAD, _NUMBER),
            _step(_AT_LEAST, _OTHER_ABI, 0, 1),
            _refuse(EPERM),
            *(_refused(number, EPERM) for number in _DENIED[machine]),
            *(_refused(number, ENOSYS) for number in _ABSENT[machine]),
            *(_refused(number, ENOSYS) for number in (() if counted else _UNCOUNTED[machine])),
            _little_shared_memory(_SHARED_MEMORY[machine]),
            *(_without_user_namespace(number) for number in _NAMESPACES[machine]),
            _families(_SOCKET[machine]),
            _step(_RETURN, _ALLOW),
        )
    )


def install() -> None:
    """Put this process and all that come from it under the filter, for good."""
    code = program()
    if not code:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    held = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(
        struct.pack("@HxxxxxxP", len(code) // 8, ctypes.addressof(held))
    )
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if libc.prctl(_SET_SECCOMP, _FILTER, header, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel refused the filter of system calls")


def _step(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, true, false, value)


def _refuse(error: int) -> bytes:
    return _step(_RETURN, _ERRNO | error)


def _refused(number: int, error: int) -> bytes:
    return _step(_EQUAL, number, 0, 1) + _refuse(error)


def _little_shared_memory(number: int) -> bytes:
    return b"".join(
        (
            _step(_EQUAL, number, 0, 6),
            _step(_LOAD, _SECOND_ARGUMENT + 4),  # the upper half: these machines are little-endian
            _step(_EQUAL, 0, 0, 2),
            _step(_LOAD, _SECOND_ARGUMENT),
            _step(_AT_LEAST, _MOST_SHARED + 1, 0, 1),
            _refuse(ENOMEM),
            _step(_RETURN, _ALLOW),
        )
    )


def _without_user_namespace(number: int) -> bytes:
    return b"".join(
        (
            _step(_EQUAL, number, 0, 4),
            _step(_LOAD, _FIRST_ARGUMENT),
            _step(_ANY_BIT, _NEW_USER, 0, 1),
            _refuse(EPERM),
            _step(_RETURN, _ALLOW),
        )
    )


def _families(number: int) -> bytes:
    last = len(_FAMILIES)
    return b"".join(
        (
            _step(_EQUAL, number, 0, last + 2),
            _step(_LOAD, _FIRST_ARGUMENT),
            *(_step(_EQUAL, family, last - place, 0) for place, family in enumerate(_FAMILIES)),
            _refuse(EAFNOSUPPORT),
        )
    )
