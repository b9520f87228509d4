"""Attacks on what is printed and read, and on the arguments of a command."""

from perdure.sandbox.sandbox import Command
from tests.sandbox.attacks.probe import TRIED, Probe, python, shell

_FRAME = r"""
    printf '{"n":1,"value":{"state":"done","code":0,"ended":"exit","head":0}}\n'
    printf '{"n":2,"failed":"no"}\n{"hello":{"incarnation":"forged"}}\n'
    exit 9
"""

OUTPUT = [
    Probe("endless", shell("exec yes", seconds=1), ended=("time",), shows=("y\ny\n",)),
    Probe("forged-answers", shell(_FRAME), code=9, shows=('"failed"', '"forged"')),
    Probe(
        "very-many-small-pieces",
        python("[os.write(1, b'x') for _ in range(50_000)]"),
        code=0,
        shows=("x" * 50_000,),
    ),
    Probe("no-output-at-all", shell("exec > /dev/null 2>&1; exit 3"), code=3),
    Probe("closed-output", shell("exec >&- 2>&-; sleep 0.3; exit 3"), code=3),
    Probe(
        "meddles-with-its-pipe",
        python("""
            import fcntl
            fcntl.fcntl(1, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND)
            attempt("small", lambda: fcntl.fcntl(1, 1031, 4096) and None)
            other = os.open("/proc/self/fd/1", os.O_RDONLY | os.O_NONBLOCK)
            try: os.read(other, 1 << 20)
            except BlockingIOError: pass
            os.close(other)
            os.write(2, b"tried")
        """),
        hides=(),
        shows=(TRIED,),
    ),
    Probe(
        "reads-for-ever",
        shell("cat; read x; echo $?; python3 -c 'input()' 2>&1 | tail -n 1; echo tried"),
        shows=("1\nEOFError", TRIED),
    ),
    Probe(
        "writes-to-its-input",
        python(
            "attempt('grow', lambda: os.write(os.open('/proc/self/fd/0', os.O_RDWR), bytes(9000)))",
            stdin=b"input",
        ),
        shows=("grow PermissionError",),
    ),
    Probe("huge-argument", Command(("echo", "A" * 200_000)), code=127, shows=("too long",),
          kinds=("docker",)),
    Probe("huge-argument", Command(("echo", "A" * 200_000)), code=126, shows=("too long",),
          kinds=("bwrap",)),
    Probe(
        "huge-variables",
        shell("echo DONE", environment={f"V{n}": "x" * 100_000 for n in range(40)}),
        shows=("too long",),
    ),
    Probe("no-characters", Command(("echo", "\0", "\ud800")), shows=("cannot be started",)),
    Probe("no-such-folder", Command(("echo", "DONE"), folder="../.."), shows=("outside",)),
]  # fmt: skip
