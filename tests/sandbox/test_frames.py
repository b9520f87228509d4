"""The frames of the shim's protocol."""

import asyncio
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.sandbox.inside import frames

_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


def _reader(*parts: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=1000)
    for part in parts:
        reader.feed_data(part)
    reader.feed_eof()
    return reader


@given(st.lists(st.tuples(st.dictionaries(st.just("value"), _plain), st.binary()), max_size=4))
def test_what_was_encoded_is_read_back(sent: list[tuple[dict[str, Any], bytes]]) -> None:
    """Any text and any bytes pass, one frame after the other."""
    stream = io.BytesIO(b"".join(frames.encode(*each) for each in sent))
    for message, data in sent:
        expected = {**message, "size": len(data)} if data else message
        assert frames.read(stream) == (expected, data)
    assert frames.read(stream) is None


async def test_a_line_may_be_longer_than_the_readers_limit() -> None:
    """A state's changes are one line, of megabytes."""
    message = {"value": "x" * 300_000}
    reader = _reader(frames.encode(message, b"\n1") + frames.encode({"n": 2}))
    assert await frames.receive(reader) == ({**message, "size": 2}, b"\n1")
    assert await frames.receive(reader) == ({"n": 2}, b"")
    assert await frames.receive(reader) is None


async def test_a_name_that_is_not_utf8_passes() -> None:
    """File names are bytes; Python's stand-ins for them survive the way."""
    name = b"caf\xe9".decode(errors="surrogateescape")
    assert await frames.receive(_reader(frames.encode({"value": name}))) == ({"value": name}, b"")


@pytest.mark.parametrize(
    "stream",
    [
        b'{"n": 1',
        b"[1]\n",
        b"hello\n",
        b"\xff\n",
        b'{"size": -1}\n',
        b'{"size": "9"}\n',
        b'{"size": true}\n',
        b'{"size": 67108865}\n',
        b'{"size": 3}\nab',
    ],
)
async def test_what_is_not_a_frame_is_refused(stream: bytes) -> None:
    """Neither reader takes it for anything, nor waits for what cannot come."""
    with pytest.raises(frames.BrokenFrame):
        await frames.receive(_reader(stream))
    with pytest.raises(frames.BrokenFrame):
        frames.read(io.BytesIO(stream))


def test_a_frame_over_the_limit_is_not_sent() -> None:
    """The error comes where it can be understood, and not as a broken connection."""
    with pytest.raises(frames.BrokenFrame, match="over the limit"):
        frames.encode({}, bytes(frames.LIMIT + 1))
