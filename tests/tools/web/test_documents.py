"""Documents from outside, read by the real program that is expendable."""

import asyncio
from contextlib import suppress

import psutil
import pytest

from perdure.errors import ToolError
from perdure.tools.web.documents import Document, read
from tests.tools.web.pages import make_pdf

PAGE = """<!DOCTYPE html><html><head><title>The  Title</title><script>evil()</script></head><body>
<nav><a href="/home">Home</a></nav>
<article><h1>Heading</h1><p>A first paragraph, which is long enough to be one of the text, with a
<a href="/next">link</a> in it.</p><p>A second paragraph, which is long enough, too.</p></article>
</body></html>"""


async def text(data: bytes | str, type: str = "text/plain", charset: str | None = None) -> str:
    given = data.encode() if isinstance(data, str) else data
    return await read(Document("https://a.test/b/c", given, type, charset))


async def refusal(data: bytes, type: str) -> str:
    with pytest.raises(ToolError) as refused:
        await text(data, type)
    return str(refused.value)


READER = "perdure.tools.web.document_reader"


def children() -> list[psutil.Process]:
    """The programs that read documents; a process of another test may still be there."""
    return [each for each in psutil.Process().children() if READER in _words(each)]


def _words(process: psutil.Process) -> list[str]:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return process.cmdline()
    return []


async def test_a_page_is_read_as_its_title_and_main_text() -> None:
    """With links that can be fetched, and without scripts and menus."""
    found = await text(PAGE, "text/html")
    assert found.startswith("Title: The Title\n\n")
    assert "[link](https://a.test/next)" in found
    assert "evil" not in found
    assert "Home" not in found


async def test_a_page_too_large_to_be_understood_is_read_as_it_stands() -> None:
    """Finding the main text takes time with the square of the size."""
    large = PAGE.replace("</article>", "<p>More and more.</p>" * 60_000 + "</article>")
    found = await text(large, "text/html")
    assert "A first paragraph" in found
    assert "More and more." in found


@pytest.mark.parametrize("page", ["", "<html></html>", "<p>short</p>", "\x00\x01<<<>>>"])
async def test_a_page_with_hardly_any_text_is_no_error(page: str) -> None:
    """What there is is given."""
    assert "problem" not in await text(page, "text/html")


@pytest.mark.parametrize(
    ("data", "charset", "found"),
    [
        ("grüße".encode(), "utf-8", "grüße"),
        ("grüße".encode(), None, "grüße"),
        ("grüße".encode("latin-1"), "iso-8859-1", "grüße"),
        ("grüße".encode("latin-1"), "utf-8", "grüße"),
        ("grüße".encode("latin-1"), None, "grüße"),
        ("grüße".encode(), "no-such-charset", "grüße"),
        ("grüße".encode(), "zlib", "grüße"),
        ("grüße".encode(), "ascii", "grüße"),
        ("grüße".encode("utf-16"), "utf-8", "grüße"),
        ("grüße".encode("utf-8-sig"), None, "grüße"),
        ("日本".encode("shift-jis"), "shift-jis", "日本"),
    ],
)
async def test_a_wrong_charset_does_no_harm(data: bytes, charset: str | None, found: str) -> None:
    """Servers often do not know what they send."""
    assert await text(data, charset=charset) == found


async def test_a_page_may_name_its_charset_itself() -> None:
    """If the server does not."""
    page = "<html><head><meta charset='shift-jis'><title>日本</title></head></html>"
    assert "Title: 日本" in await text(page.encode("shift-jis"), "text/html")


async def test_json_is_spread_over_lines() -> None:
    """What is not JSON after all, or too deep, stays as it is."""
    assert await text('{"a":["ä"]}', "application/json") == '{\n  "a": [\n    "ä"\n  ]\n}'
    assert await text('{"a"', "application/problem+json") == '{"a"'
    deep = "[" * 100_000
    assert await text(deep, "application/json") == deep


@pytest.mark.parametrize(
    ("data", "found"),
    [(make_pdf("from a PDF"), "from a PDF"), (PAGE.encode(), "Title: "), (b"plain", "plain")],
)
async def test_a_document_of_no_type_is_recognised(data: bytes, found: str) -> None:
    """By how it begins."""
    for type in ("", "application/octet-stream"):
        assert found in await text(data, type)


@pytest.mark.parametrize("type", ["image/png", "", "application/zip"])
async def test_what_holds_no_text_is_refused(type: str) -> None:
    """With its type and size."""
    told = await refusal(b"\x89PNG\0\0\0", type)
    assert "7 bytes, and holds no text to show" in told


async def test_control_characters_are_left_out() -> None:
    """No document can steer a terminal."""
    assert await text("a\x1b[2Jb\0c\r\nd") == "a[2Jbc\nd"


async def test_too_much_memory_is_refused() -> None:
    """The program that reads is bounded, and the worker is unharmed."""
    many = b"[" + b"{}," * 8_000_000 + b"{}]"
    assert "it takes more than 512 MB of memory" in await refusal(many, "application/json")


async def test_too_much_time_is_refused() -> None:
    """The program is killed when its time is up."""
    slow = "<table>" + "<tr><td>a<td>b" * 60_000
    with pytest.raises(ToolError, match="it takes more than 1 seconds"):
        await read(Document("slow", slow.encode(), "text/html"), seconds=1)
    assert children() == []


async def test_the_program_is_killed_with_the_call() -> None:
    """A cancelled run leaves no process behind."""
    slow = "<table>" + "<tr><td>a<td>b" * 60_000
    reading = asyncio.create_task(text(slow, "text/html"))
    while not children():
        await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert children() == []


async def test_the_program_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment is empty, whatever the worker's holds."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    slow = "<table>" + "<tr><td>a<td>b" * 60_000
    reading = asyncio.create_task(text(slow, "text/html"))
    while not children():
        await asyncio.sleep(0.01)
    assert children()[0].environ() == {}
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
