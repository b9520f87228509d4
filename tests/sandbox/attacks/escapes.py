"""Attacks that try to become someone else, to see others, or to leave the sandbox."""

from tests.sandbox.attacks.probe import TRIED, Probe, python, shell

_OTHER_PROCESSES = """
    for pid in others():
        for name in ("environ", "mem", "maps", "stack", "syscall"):
            attempt(f"{pid} {name}", lambda: open(f"/proc/{pid}/{name}", "rb").read(1))
        for name in ("root", "cwd", "exe"):
            attempt(f"{pid} {name}", lambda: os.readlink(f"/proc/{pid}/{name}"))
        attempt(f"{pid} fd", lambda: os.listdir(f"/proc/{pid}/fd"))
        attempt(f"{pid} attach", lambda: call(101, 16, pid, 0, 0))
        attempt(f"{pid} seize", lambda: call(101, 0x4206, pid, 0, 0))
        attempt(f"{pid} descriptor", lambda: call(438, call(434, pid, 0), 0, 0))
    print("tried")
"""

# Numbers of x86-64. The harmless of each: what would succeed would change nothing.
_CALLS = """
    if os.uname().machine == "x86_64":
        zero = ctypes.create_string_buffer(256)
        calls = dict(
            mount=(165, b"none", b"/tmp", b"tmpfs", 0, 0), umount=(166, b"/proc", 0),
            pivot_root=(155, b".", b"."), chroot=(161, b"."), setns=(308, 0, 0),
            new_user=(272, 0x10000000), new_mounts=(272, 0x20000), new_processes=(272, 0x20000000),
            new_network=(272, 0x40000000), open_tree=(428, -100, b"/", 1),
            fsopen=(430, b"tmpfs", 0),
            settime=(227, 0, zero), settimeofday=(164, zero, 0),
            hostname=(170, b"x", 1), reboot=(169, 0xFEE1DEAD, 672274793, 0, 0), swap=(167, b"x", 0),
            module=(175, zero, 0, b""), kexec=(246, 0, 0, 0, 0), iopl=(172, 3),
            ioperm=(173, 0, 1, 1), acct=(163, b"x"), quota=(179, 0, 0, 0, 0),
            by_handle=(304, -100, zero, 0),
            bpf=(321, 0, 0, 0), keys=(250, 0, 0), perf=(298, zero, 0, -1, -1, 0), faults=(323, 1),
            rings=(425, 1, zero), log=(103, 3, zero, 1), setuid=(105, 0), setgid=(106, 0),
        )
        for name, arguments in calls.items():
            attempt(name, lambda: call(*arguments))
    print("tried")
"""

_SETTINGS = """
    for place in glob.glob("/proc/sys/kernel/*") + glob.glob("/proc/sys/vm/*"):
        def rewrite():
            with open(place, "r+") as file:
                file.write(file.read())
        attempt(place, rewrite)
    attempt("sysrq", lambda: open("/proc/sysrq-trigger", "w").write("h"))
    attempt("uevent", lambda: open("/sys/kernel/uevent_helper", "w").write(""))
    attempt("score", lambda: open("/sys/fs/cgroup/memory/memory.limit_in_bytes", "w").write("-1"))
    print("tried")
"""

_DEVICES = """
    for place in ("/dev/mem", "/dev/kmem", "/dev/port", "/dev/vda", "/dev/sda", "/dev/kmsg",
                  "/dev/fuse", "/dev/kvm", "/dev/net/tun", "/dev/vsock", "/proc/kcore",
                  "/proc/kmsg"):
        attempt(place, lambda: open(place, "rb").read(1))
    for mode in (0o060666, 0o020666):
        attempt("mknod", lambda: os.mknod("node", mode, os.makedev(1, 1)))
    attempt("terminal", lambda: open("/dev/tty"))
    print("tried")
"""

_PLACES = """
    import json
    for folder in ("/", "/usr/bin", "/etc", "/run", "/root", "/var", "/perdure", "/perdure-inside",
                   "/perdure-inside/inside", sys.prefix, os.path.dirname(json.__file__),
                   os.environ["STATE"], os.environ["STATE"] + "/steps", "/dev", "/sys", "/proc"):
        attempt(folder, lambda: open(f"{folder}/mine", "w"))
    for file in ("/etc/passwd", "/etc/ld.so.preload", sys.executable, os.__file__, json.__file__):
        attempt(file, lambda: open(file, "r+"))
        attempt(file, lambda: os.chmod(file, 0o777))
        attempt(file, lambda: os.link(file, "linked"))
    print("tried")
"""

_FORGERY = """
    state = os.environ["STATE"]
    attempt("list", lambda: os.listdir(state))
    attempt("configuration", lambda: open(f"{state}/config.json").read())
    for name in ("result", "pid", "lock", "output"):
        attempt(name, lambda: open(f"{state}/steps/forged/{name}", "w"))
    shim = socket.socket(socket.AF_UNIX)
    attempt("call", lambda: shim.connect(f"{state}/shim.sock"))
    attempt("replace", lambda: socket.socket(socket.AF_UNIX).bind(f"{state}/shim.sock"))
    attempt("remove", lambda: os.unlink(f"{state}/shim.sock"))
    print("tried")
"""

_LEAVE = """
    attempt("file", lambda: open(os.environ["CANARY_FILE"]).read())
    attempt("by root", lambda: open("/proc/1/root" + os.environ["CANARY_FILE"]).read())
    attempt("by dots", lambda: open("../" * 40 + os.environ["CANARY_FILE"]).read())
    os.symlink(os.environ["CANARY_FILE"], "link")
    attempt("by link", lambda: open("link").read())
    attempt("by canary", lambda: os.readlink(f"/proc/{os.environ['CANARY_PID']}/root"))
    attempt("move", lambda: os.rename("/workspace", "/moved"))
    attempt("remove", lambda: os.rmdir("/workspace"))
    attempt("exchange", lambda: os.rename("/workspace", "/tmp/workspace"))
    print("tried")
"""

_SETUID = """
    cp /bin/sh mine; chmod 6755 mine; ./mine -p -c 'id -u; id -g'
    cp /bin/sh /tmp/mine; chmod 6755 /tmp/mine; /tmp/mine -p -c 'id -u; id -g'
    for each in su sudo pkexec newgrp; do command -v $each && $each -c 'echo DONE' < /dev/null; done
    setpriv --reuid 0 id 2> /dev/null && echo DONE
    grep -E '^Cap(Prm|Eff|Amb)' /proc/self/status | grep -v 0000000000000000 && echo DONE
    grep NoNewPrivs /proc/self/status; rm mine /tmp/mine; echo tried
"""

ESCAPES = [
    Probe("other-processes", python(_OTHER_PROCESSES), shows=(TRIED,), kinds=("docker",)),
    Probe(
        # There is but bubblewrap's own, the parent of the command, and it has as little.
        "other-processes",
        python("print(len(others()), 'others'); print(open('/proc/1/comm').read())"),
        shows=("0 others\nbwrap",),
        kinds=("bwrap",),
    ),
    Probe("calls-of-the-mighty", python(_CALLS), shows=(TRIED,)),
    Probe("settings-of-the-kernel", python(_SETTINGS), shows=(TRIED,)),
    Probe("devices", python(_DEVICES), shows=(TRIED,)),
    Probe("places-of-others", python(_PLACES), shows=(TRIED,)),
    Probe("forged-results", python(_FORGERY), shows=(TRIED,)),
    Probe("leaving", python(_LEAVE), shows=(TRIED,)),
    Probe("setuid-programs", shell(_SETUID), shows=("1000\n1000\n1000\n1000\n", "\t1\n", TRIED)),
    Probe(
        "nested-sandbox",
        shell("unshare -Ur id -u || bwrap --ro-bind / / id -u || echo tried"),
        shows=(TRIED,),
    ),
    Probe(
        "secrets-in-variables",
        shell("env; cat /proc/*/environ /proc/*/task/*/environ 2> /dev/null; echo tried"),
        shows=(TRIED,),
        hides=("OPENAI", "TEMPORAL", "PERDURE_"),
    ),
    Probe("locks-itself-out", shell("mkdir -p a/b; chmod 000 a/b a .; echo tried"), shows=(TRIED,)),
    Probe(
        "takes-its-own-folder-away",
        shell(
            "mkdir here; cd here; rmdir ../here; rm -rf /workspace; ls -a /workspace; echo tried"
        ),
        shows=(TRIED,),
    ),
]
