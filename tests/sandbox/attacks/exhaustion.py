"""Attacks that use up what a machine has."""

from tests.sandbox.attacks.probe import TRIED, Probe, python, shell

_MEMFD = """
    files = []
    for n in range(16):
        files.append(os.memfd_create("hidden"))
        for _ in range(40):
            os.write(files[-1], bytes(1 << 20))
    print("DONE")
"""

_FILES = """
    for n in range(60_000):
        open(f"{folder}/{{n}}", "w").close()
    time.sleep(2)
"""

_TEMPORARY = "/tmp"  # noqa: S108 - the sandbox's own

_OPEN_BUT_DELETED = """
    files = [open(str(n), "wb") for n in range(6)]
    for n, file in enumerate(files):
        os.unlink(str(n))
        file.write(bytes(50_000_000))
    time.sleep(5)
"""

_SEGMENTS = """
    libc.shmat.restype = ctypes.c_void_p
    for size in (1 << 33, 20 << 20, 8192):
        attempt("shmget", lambda: call(29, 0, size, 0o1600))
    attempt("semget", lambda: call(64, 0, 1, 0o1600))
    attempt("msgget", lambda: call(68, 0, 0o1600))
    print("tried")
"""

_THREADS = """
    import threading
    threading.stack_size(65536)
    for n in range(500):
        threading.Thread(target=time.sleep, args=(2,), daemon=True).start()
    time.sleep(1)
"""

_BUFFERS = """
    pairs = []
    while True:
        pairs.append(socket.socketpair())
        pairs[-1][0].setblocking(False)
        try:
            while pairs[-1][0].send(bytes(1 << 16)): pass
        except BlockingIOError: pass
"""

# On the host itself only bombs that go out by themselves: 511 and 512 processes.
_SHELLS = "b() { [ $1 -gt 0 ] && { b $(($1-1)) | b $(($1-1)) & }; sleep 30; }; b 7"
_FORKS = "[os.fork() for _ in range(9)]; time.sleep(30)"
_ENDLESS_FORKS = """
    while True:
        try: os.fork()
        except OSError: pass
"""

EXHAUSTION = [
    Probe(
        "fork-bomb",
        shell("b() { b | b & }; b; sleep 30", seconds=2),
        ended=("time", "exit", "memory"),
        kinds=("docker",),
    ),
    Probe("fork-bomb", shell(_SHELLS), ended=("processes",), kinds=("bwrap",)),
    Probe(
        "python-fork-bomb",
        python(_ENDLESS_FORKS, seconds=2),
        ended=("time", "memory"),
        kinds=("docker",),
    ),
    Probe("python-fork-bomb", python(_FORKS), ended=("processes", "memory"), kinds=("bwrap",)),
    Probe("threads", python(_THREADS), code=1, shows=("start new thread",), kinds=("docker",)),
    Probe("threads", python(_THREADS), ended=("processes",), kinds=("bwrap",)),
    Probe(
        "disk",
        shell("for i in 1 2 3 4 5 6; do head -c 50M /dev/zero > $i; done; sleep 5"),
        ended=("disk",),
    ),
    Probe("one-long-file", shell("exec head -c 100M /dev/zero > long"), ended=("disk",)),
    Probe("hole-of-a-terabyte", shell("exec truncate -s 1T hole"), ended=("disk",)),
    Probe("deleted-but-open", python(_OPEN_BUT_DELETED), ended=("disk",)),
    Probe(
        "temporary-files",
        shell("for d in /tmp /dev/shm; do head -c 60M /dev/zero > $d/x; rm $d/x; done"),
        shows=("No space left",),
    ),
    Probe("inodes", python(_FILES.format(folder=".")), ended=("disk",), seconds=15),
    Probe(
        "temporary-inodes",
        python(_FILES.format(folder=_TEMPORARY)),
        shows=("No space left",),
        kinds=("docker",),
    ),
    Probe(
        "temporary-inodes",
        python(_FILES.format(folder=_TEMPORARY)),
        ended=("disk",),
        seconds=15,
        kinds=("bwrap",),
    ),
    Probe("memory", python("x = bytearray(2 << 30); time.sleep(5)"), ended=("memory",), code=-9),
    Probe(
        "memory-of-a-child",
        shell("python3 -c 'x = bytearray(2 << 30)'; echo $? lives on"),
        ended=("memory",),
        shows=("137 lives on",),
        kinds=("docker",),
    ),
    Probe(
        "memory-of-a-child",
        shell("python3 -c 'x = bytearray(2 << 30)'; echo $? lives on; sleep 2"),
        ended=("memory",),
        kinds=("bwrap",),
    ),
    Probe("memory-in-files-without-names", python(_MEMFD), ended=("memory",), kinds=("docker",)),
    Probe(
        "memory-in-files-without-names",
        python(_MEMFD),
        code=1,
        shows=("Function not implemented",),
        kinds=("bwrap",),
    ),
    Probe(
        # In Docker it can, and may have the shim killed in its place: see test_ruin.
        "spares-itself-when-memory-runs-out",
        python("attempt('spare', lambda: open('/proc/self/oom_score_adj', 'w').write('0'))"),
        shows=("spare",),
        kinds=("bwrap",),
    ),
    Probe("memory-that-outlives-its-command", python(_SEGMENTS), shows=(TRIED,)),
    Probe(
        "socket-buffers",
        python(_BUFFERS, seconds=3),
        ended=("memory", "exit"),
        shows=(),
    ),
    Probe(
        "open-files",
        python("[os.dup(1) for _ in range(5000)]"),
        code=1,
        shows=("Too many open files",),
    ),
    Probe("processors", shell("for i in 1 2 3 4; do (while :; do :; done) & done; wait", seconds=1),
          ended=("time",)),
    Probe(
        "more-than-its-limits",
        python("""
            import resource
            for name in ("CORE", "NOFILE", "FSIZE"):
                kind = getattr(resource, f"RLIMIT_{name}")
                attempt(name, lambda: resource.setrlimit(kind, (1 << 30, 1 << 30)))
            attempt("nice", lambda: os.nice(-15))
            attempt("realtime", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(9)))
            print("tried")
        """),
        shows=(TRIED,),
    ),
    Probe(
        "more-processors",
        python("attempt('affinity', lambda: os.sched_setaffinity(0, range(os.cpu_count())))"),
        shows=("affinity",),
        kinds=("bwrap",),
    ),
]  # fmt: skip
