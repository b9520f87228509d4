"""Fetching for a model, from a real server that may mean ill."""

import asyncio
import gzip
import ssl
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from perdure.errors import ToolError
from perdure.tools.web.addresses import Guard, Permitted
from perdure.tools.web.guarded_http import LARGEST, REDIRECTS, GuardedTransport, get
from tests.tools.loopback import Loopback, redirect, reply

LOCAL = Guard(Permitted.parse("127.0.0.0/8"))


class Names:
    """A resolver that gives prepared answers, one after the other, and then the last again."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Loopback]:
    async with Loopback({"/": reply(b"hello", content_type="text/plain; charset=utf-8")}) as server:
        yield server


async def refusal(url: str, guard: Guard = LOCAL, *, seconds: float = 20) -> str:
    with pytest.raises(ToolError) as refused:
        await get(url, guard, seconds=seconds)
    return str(refused.value)


async def test_fetch(server: Loopback) -> None:
    """What came, where it came from, and what the server says of it."""
    found = await get(server.url, LOCAL)
    assert (found.data, found.type, found.charset) == (b"hello", "text/plain", "utf-8")
    assert found.name == server.url


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "localhost.",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "0.0.0.0",  # noqa: S104 - what must be refused
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
    ],
)
async def test_nothing_is_sent_to_this_machine(server: Loopback, host: str) -> None:
    """Unless an operator permits it, whatever its address is called."""
    told = await refusal(f"http://{host}:{server.port}/", Guard())
    assert any(each in told for each in ("no public address", "No address is known", "Invalid"))
    assert server.requests == []


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("file:///etc/passwd", "is not the address of a web page"),
        ("ftp://127.0.0.1/", "is not the address of a web page"),
        ("127.0.0.1/x", "is not the address of a web page"),
        ("http:///x", "is not the address of a web page"),
        ("http://example.com@127.0.0.1/", "carries a user's name"),
        ("http://127.0.0.1\\@example.com/", "carries a user's name"),
        ("http://127.0.0.1:99999/", "names port 99999"),
        ("http://127.0.0.1:0/", "names port 0"),
        ("http://[::1/", "cannot be fetched: Invalid"),
        ("http://a\tb/", "cannot be fetched: Invalid"),
        ("http://" + "x" * 70_000, "cannot be fetched: URL too long"),
        ("http://127.0.0.1:1/", "cannot be fetched: All connection attempts failed"),
    ],
)
async def test_what_cannot_be_fetched_is_explained(url: str, sentence: str) -> None:
    """In a short sentence, however long the address is."""
    told = await refusal(url)
    assert sentence in told
    assert len(told) < 500


async def test_a_redirect_into_the_private_network_is_refused(server: Loopback) -> None:
    """A public page may name any address as the next."""
    server.answers["/start"] = redirect(f"http://127.0.0.1:{server.port}/secret")
    server.answers["/secret"] = reply(b"secret")
    guard = Guard(Permitted.parse("start.test"), Names(["127.0.0.1"]))
    told = await refusal(f"http://start.test:{server.port}/start", guard)
    assert "'127.0.0.1' is at 127.0.0.1, which is no public address" in told
    assert len(server.requests) == 1


@pytest.mark.parametrize("place", ["file:///etc/passwd", "gopher://x/", "http://a@127.0.0.1/"])
async def test_a_redirect_to_what_is_no_page_is_refused(server: Loopback, place: str) -> None:
    """The same rules as for the first address."""
    server.answers["/"] = redirect(place)
    assert "address" in await refusal(server.url)


async def test_a_name_is_looked_up_once(server: Loopback) -> None:
    """The address that was checked is the one that is connected to; a second answer is not used."""
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    found = await get(f"http://twice.test:{server.port}/", Guard(LOCAL.permitted, names))
    assert found.data == b"hello"
    assert names.asked == ["twice.test"]
    assert f"Host: twice.test:{server.port}\r\n" in server.requests[0]


async def test_a_name_that_moves_between_redirects_is_refused(server: Loopback) -> None:
    """Each request is checked with the answer that it uses."""
    server.answers["/"] = redirect("/next")
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    told = await refusal(f"http://twice.test:{server.port}/", Guard(LOCAL.permitted, names))
    assert "'twice.test' is at 169.254.169.254" in told


async def test_another_address_of_the_host_is_tried(server: Loopback) -> None:
    """Many hosts have one that this machine cannot reach."""
    guard = Guard(LOCAL.permitted, Names(["127.0.0.2", "127.0.0.1"]))
    assert (await get(f"http://two.test:{server.port}/", guard)).data == b"hello"


async def test_redirects_are_followed_up_to_a_number(server: Loopback) -> None:
    """The last one is where the page is from; a circle ends."""
    for number in range(REDIRECTS):
        server.answers[f"/{number}"] = redirect(f"/{number + 1}")
    server.answers[f"/{REDIRECTS}"] = reply(b"there")
    found = await get(f"{server.url}/0", LOCAL)
    assert (found.data, found.name) == (b"there", f"{server.url}/{REDIRECTS}")
    server.answers[f"/{REDIRECTS}"] = redirect("/0")
    assert "redirects more than 5 times" in await refusal(f"{server.url}/0")


async def test_the_proxy_of_the_environment_is_not_used(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could reach what the guard refuses."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert (await get(server.url, LOCAL)).data == b"hello"


async def test_an_error_of_the_server_is_told(server: Loopback) -> None:
    """With its code, which says whether another attempt is worth it."""
    assert "/none' answered 404 Not Found." in await refusal(f"{server.url}/none")


async def test_a_body_may_be_compressed(server: Loopback) -> None:
    """With gzip, which is what is asked for."""
    server.answers["/"] = reply(gzip.compress(b"hello"), content_encoding="gzip")
    assert (await get(server.url, LOCAL)).data == b"hello"
    assert "accept-encoding: gzip\r\n" in server.requests[0]


@pytest.mark.parametrize(
    ("body", "coding", "sentence"),
    [
        (gzip.compress(b"hello", mtime=0)[:-4], "gzip", "ended in the middle"),
        (b"not compressed", "gzip", "cannot be fetched: Error -3"),
        (b"\x0b", "br", "came compressed as 'br', which was not asked for"),
    ],
)
async def test_a_body_that_cannot_be_decompressed_is_explained(
    server: Loopback, body: bytes, coding: str, sentence: str
) -> None:
    """Cut off, wrong, or of a kind that cannot be bounded."""
    server.answers["/"] = reply(body, content_encoding=coding)
    assert sentence in await refusal(server.url)


async def test_a_compressed_bomb_is_not_unpacked(server: Loopback) -> None:
    """Memory stays near the limit, however much would come out; on a redirect too."""
    bomb = gzip.compress(bytes(200_000_000))
    server.answers["/"] = reply(bomb, content_encoding="gzip")
    server.answers["/there"] = reply(b"there")
    server.answers["/redirect"] = reply(
        bomb, "302 Found", content_encoding="gzip", location="/there"
    )
    tracemalloc.start()
    try:
        assert "is larger than 5,000,000 bytes" in await refusal(server.url)
        assert (await get(f"{server.url}/redirect", LOCAL)).data == b"there"
        assert tracemalloc.get_traced_memory()[1] < 6 * LARGEST
    finally:
        tracemalloc.stop()


async def test_an_endless_body_is_given_up(server: Loopback) -> None:
    """Whatever length it claims to have."""

    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(100_000))
            await writer.drain()

    server.answers["/"] = endless
    assert "is larger than" in await refusal(server.url)


async def test_a_slow_drip_is_given_up(server: Loopback) -> None:
    """Each byte comes in time, and the whole would never be there."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.05)

    server.answers["/"] = drip
    assert "did not arrive within 0.5 seconds" in await refusal(server.url, seconds=0.5)


async def test_a_reply_that_breaks_off_is_explained(server: Loopback) -> None:
    """In the body, or before anything came."""
    server.answers["/half"] = reply(b"hello")[:-2]
    server.answers["/none"] = b""
    for path in ("/half", "/none"):
        assert "cannot be fetched: " in await refusal(server.url + path)


def certified(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's TLS for `name`, and a client's that trusts its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    signed = builder.sign(key, hashes.SHA256())
    certificate = signed.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "both.pem").write_bytes(secret + certificate)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "both.pem")
    return server, ssl.create_default_context(cadata=certificate.decode())


async def test_tls_names_the_host_and_checks_its_certificate(tmp_path: Path) -> None:
    """Although the connection is made to an address; a certificate for another host is refused."""
    tls, trusting = certified("page.test", tmp_path)
    named: list[str | None] = []
    tls.set_servername_callback(lambda _socket, name, _context: named.append(name))
    guard = Guard(LOCAL.permitted, Names(["127.0.0.1"]))
    async with (
        Loopback({"/": reply(b"hello")}, tls) as server,
        httpx.AsyncClient(transport=GuardedTransport(guard, trusting)) as client,
    ):
        assert (await client.get(f"https://page.test.:{server.port}/")).text == "hello"
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.get(f"https://other.test:{server.port}/")
    assert named == ["page.test", "other.test"]
