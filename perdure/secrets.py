"""Secrets: the values in the environment that must never be seen, and what is shown instead."""

import json
import logging
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote

SHORTEST = 8
"""Characters of a value that is masked; a shorter one would be found in ordinary words."""
_SHORTEST_LINE = 16

# The address of a webhook is one too: whoever knows it can write there.
_NAME = re.compile(
    r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|WEBHOOK(?:_URL)?)S?(?:_?\d+)?$",
    re.IGNORECASE,
)
# Up to the nearest @ and to the last one: people write passwords that a URL should not hold.
_IN_URLS = (
    re.compile(r"://([^\s/?#:@]*):([^\s@]+)@"),
    re.compile(r"://([^\s/?#:@]*):(\S+)@"),
)


class Secrets:
    """The values of an environment's secret variables; `mask` puts the names in their place."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        masks: dict[str, str] = {}
        for name, value in environ.items():
            for form in _forms(name, value):
                masks.setdefault(form, f"[{name}]")
        # A value may hold another one: the longer goes first.
        self._masks = sorted(masks.items(), key=lambda mask: -len(mask[0]))

    def mask(self, text: str) -> str:
        for value, name in self._masks:
            if value in text:
                text = text.replace(value, name)
        return text


class MaskingFilter(logging.Filter):
    """Masks the records of a handler: message, arguments and what is told of an exception."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._secrets.mask(_message(record)), None
        if record.exc_info:
            # As text, so that no other handler tells it from the exception itself.
            record.exc_text = record.exc_text or _FORMATTER.formatException(record.exc_info)
            record.exc_info = None
        if record.exc_text:
            record.exc_text = self._secrets.mask(record.exc_text)
        if record.stack_info:
            record.stack_info = self._secrets.mask(record.stack_info)
        return True


_FORMATTER = logging.Formatter()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments are anybody's objects, and logging never raises
        return f"{record.msg} [arguments that do not fit it]"


def _forms(name: str, value: str) -> Iterator[str]:
    """What to look for because of this variable."""
    secrets = [value] if _NAME.search(name) else _passwords(value)
    for secret in secrets:
        if len(secret.strip()) >= SHORTEST:
            yield from _written(secret.strip())


def _passwords(value: str) -> list[str]:
    """The passwords inside URLs, as they stand there and as they are meant."""
    found = {pair for pattern in _IN_URLS for pair in pattern.findall(value)}
    # `postgres:postgres` keeps no secret, and is a word that output is full of.
    return [form for user, text in sorted(found) if text != user for form in (text, unquote(text))]


def _written(secret: str) -> Iterator[str]:
    """A secret as it is, quoted by Python or JSON, in a URL, in base64, and line by line."""
    yield secret
    yield repr(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield from _in_base64(secret.encode(errors="surrogateescape"))
    lines = (line.strip() for line in secret.splitlines() if not line.startswith("-----"))
    yield from (line for line in lines if len(line) >= _SHORTEST_LINE)


def _in_base64(secret: bytes) -> Iterator[str]:
    """The characters that are the same whatever stands before and after it."""
    for before in range(3):
        start, end = -(-before * 4 // 3), (before + len(secret)) * 4 // 3
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(bytes(before) + secret).decode()[start:end]
