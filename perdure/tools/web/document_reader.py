"""The program that reads one document from outside: bounded, without secrets, and expendable.

Started by `documents`, because a parser of untrusted data can be made to take any time and memory
(trafilatura takes time with the square of a page's size), and a thread cannot be stopped.
"""

import codecs
import json
import re
import resource
import sys
from collections.abc import Iterator
from io import BytesIO
from typing import Any

MEMORY = 512 * 1024 * 1024
MOST = 2_000_000
"""Characters of text that are handed on."""
_EXTRACTED = 1_000_000
"""Bytes of a page of which the main text is sought, which takes about 3 seconds; of a larger one
all text is given."""
_META = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
_NO_TEXT = "[This page holds no text; it may be a picture.]"


class Unreadable(Exception):
    """The end of a sentence that begins with «It cannot be read:»."""


def main() -> None:
    order = json.loads(sys.argv[1])
    _limit(order["seconds"])
    data = sys.stdin.buffer.read()
    try:
        answer = {"text": _READERS[order["kind"]](data, order)[:MOST]}
    except Unreadable as problem:
        answer = {"problem": str(problem)}
    except MemoryError:
        answer = {"problem": f"it takes more than {MEMORY >> 20} MB of memory"}
    sys.stdout.write(json.dumps(answer))


def _limit(seconds: int) -> None:
    """Bound this process, which may be on its own if the worker is killed."""
    bounds = {
        resource.RLIMIT_AS: MEMORY,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for limit, bound in bounds.items():
        resource.setrlimit(limit, (bound, bound))


def _text(data: bytes, order: dict[str, Any]) -> str:
    """`data` by its byte-order mark, by what the server says of it, as UTF-8, or as Windows'."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    for charset in (order["charset"], "utf-8-sig"):
        try:
            return data.decode(charset or "utf-8-sig")
        except (LookupError, ValueError):  # no such charset, or not in it
            continue
    return data.decode("cp1252", "replace")


def _json(data: bytes, order: dict[str, Any]) -> str:
    text = _text(data, order)
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _html(data: bytes, order: dict[str, Any]) -> str:
    from trafilatura import extract, html2txt, load_html  # noqa: PLC0415 - for this kind alone

    if order["charset"] is None and (found := _META.search(data[:2048])):
        order["charset"] = found[1].decode()
    text = _text(data, order)
    tree = load_html(text)
    if tree is None:
        return text
    title = " ".join((tree.findtext(".//title") or "").split())
    main = None
    if len(data) <= _EXTRACTED:
        main = extract(tree, url=order["url"], output_format="markdown", include_links=True)
    return f"Title: {title}\n\n{main or html2txt(text)}" if title else main or html2txt(text)


def _pdf(data: bytes, order: dict[str, Any]) -> str:
    from pypdf import PdfReader  # noqa: PLC0415 - for this kind alone
    from pypdf.errors import FileNotDecryptedError  # noqa: PLC0415

    try:
        return "\n\n".join(_pages(PdfReader(BytesIO(data)), order["first"], order["last"]))
    except (Unreadable, MemoryError):
        raise
    except FileNotDecryptedError:
        raise Unreadable("it is encrypted and needs a password") from None
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes the parser raise
        raise Unreadable(f"it is damaged ({type(error).__name__}: {error})"[:300]) from None


def _pages(reader: Any, first: int, last: int) -> Iterator[str]:
    count = len(reader.pages)
    if first > count:
        raise Unreadable(f"it has {count} pages, so there is no page {first}")
    size = 0
    for number in range(first, min(last, count) + 1):
        text = reader.pages[number - 1].extract_text().strip() or _NO_TEXT
        yield f"[Page {number} of {count}]\n{text}"
        size += len(text)
        if size > MOST:
            raise Unreadable(f"its pages {first} to {number} hold too much text; read fewer")
    if last < count:
        rest = f"{last + 1}-{count}"
        yield f"[Pages {rest} were not read; read_pdf takes pages={rest}.]"


_READERS = {"text": _text, "json": _json, "html": _html, "pdf": _pdf}

if __name__ == "__main__":
    main()
