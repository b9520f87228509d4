"""Attacks by way of sockets: the host, its engine, and the network, which is closed."""

from tests.sandbox.attacks.probe import TRIED, Probe, python, shell

_FAMILIES = """
    for family in (17, 31, 38, 40, 44, 29, 15, 21, 42, 43, 45):  # packet, bluetooth, alg, vsock, …
        for kind in (1, 2, 3, 5):
            attempt(f"family {family}", lambda: socket.socket(family, kind))
    for protocol in (1, 6, 255):
        attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol))
        attempt("raw 6", lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, protocol))
    print("tried")
"""

_ADDRESSES = """
    port = int(os.environ["CANARY_PORT"])
    hosts = ("127.0.0.1", "::1", "172.17.0.1", "10.0.2.2", "169.254.169.254",
             "192.0.2.1", "8.8.8.8")
    for host in hosts:
        for number in (port, 80, 53):
            attempt(f"{host} {number}", lambda: socket.create_connection((host, number), 0.5))
    attempt("name", lambda: socket.getaddrinfo("example.com", 80))
    attempt("datagram", lambda: socket.socket(2, 2).sendto(b"x", ("8.8.8.8", 53)))
    print("tried")
"""

_SOCKETS = """
    names = ["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock",
             "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/podman/podman.sock",
             "\\0" + os.environ["CANARY_SOCKET"]]
    for name in names:
        attempt(repr(name), lambda: socket.socket(socket.AF_UNIX).connect(name))
    print("tried")
"""

_LINKS = """
    # RTM_NEWLINK: a dummy interface; the answer of netlink is an error code, -1 is EPERM.
    import struct
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + struct.pack("=HH5sxxx", 9, 3, b"mine\\0")
    link.send(struct.pack("=IHHII", 16 + len(body), 16, 0x605, 1, 0) + body)
    print("answer", struct.unpack("=i", link.recv(4096)[16:20])[0])
"""

NETWORK = [
    Probe("families", python(_FAMILIES), shows=(TRIED,)),
    Probe("addresses", python(_ADDRESSES), shows=(TRIED,), seconds=20),
    Probe("sockets-of-the-host", python(_SOCKETS), shows=(TRIED,)),
    Probe("interfaces", python(_LINKS), shows=("answer -1\n",)),
    Probe("devices-of-the-network", shell("tail -n +3 /proc/net/dev"), shows=("lo:",),
          hides=("eth", "docker", "wlan")),
]  # fmt: skip
