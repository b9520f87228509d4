"""Attacks on how a command ends: those that outlive it, and those that kill or stop others."""

from tests.sandbox.attacks.probe import TRIED, Probe, python, shell

_DAEMON = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        while True:
            open("grown", "a").write("x")
            time.sleep(0.02)
"""

_EACH = """
    for pid in others():
        attempt(f"signal {pid}", lambda: os.kill(pid, signal.%s))
    print("tried")
"""

ENDINGS = [
    Probe(
        "daemon-beyond-the-time-out",
        python(_DAEMON + "\n    while True: time.sleep(1)", seconds=0.5),
        ended=("time",),
    ),
    Probe(
        "daemon-beyond-the-end",
        python(_DAEMON + "\n    while not os.path.exists('grown'): time.sleep(0.01)"),
        code=0,
    ),
    Probe(
        "stopped-children",
        shell("for i in 1 2 3; do setsid sh -c 'kill -STOP $$' & done; kill -STOP $$", seconds=0.5),
        ended=("time",),
    ),
    Probe(
        "ignores-all-signals",
        python(
            """
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_IGN)
            while True: time.sleep(1)
            """,
            seconds=0.5,
        ),
        ended=("time",),
    ),
    Probe(
        "children-that-hold-the-output",
        shell("sleep 30 & setsid sleep 30 & echo over"),
        code=0,
        shows=("over\n",),
        seconds=3,
    ),
    Probe(
        "hands-on-its-life",
        python("""
            deadline = time.monotonic() + 1.5
            while time.monotonic() < deadline:
                if os.fork():
                    os._exit(0)
        """),
        seconds=5,
    ),
    Probe("kills-everything", shell("kill -9 -1; echo tried"), shows=(TRIED,)),
    Probe("stops-everything", shell("kill -STOP -1; echo tried"), shows=(TRIED,)),
    Probe(
        "kills-each",
        python(_EACH % "SIGKILL"),
        shows=("Operation not permitted", TRIED),
        kinds=("docker",),
    ),
    Probe(
        # The first is bubblewrap's own, in the sandbox's namespace, which the kernel shields.
        "kills-each",
        python(_EACH % "SIGKILL"),
        shows=(TRIED,),
        hides=("signal 3",),
        kinds=("bwrap",),
    ),
    Probe("asks-for-the-canary", shell("kill -9 $CANARY_PID || echo tried"), shows=(TRIED,)),
    Probe("ends-like-a-time-out", shell("exit 124"), code=124),
    Probe("ends-like-a-kill", shell("exit 137"), code=137),
    Probe("kills-itself", shell("kill -9 $$"), code=-9, kinds=("docker",)),
    Probe("kills-itself", shell("kill -9 $$"), code=137, kinds=("bwrap",)),
    Probe("dumps-its-core", shell("sh -c 'kill -SEGV $$'; echo $?; ls"), shows=("139\n",),
          hides=("core",)),
]  # fmt: skip
