"""Secrets: whatever carries one, only its variable's name is seen."""

import base64
import json
import logging
import time
from io import StringIO
from urllib.parse import quote

import pytest

from perdure.secrets import MaskingFilter, Secrets

KEY = 'sk-proj/4f+9"Zq\\1ü7=='


def _mask(text: str, **environ: str) -> str:
    return Secrets(environ).mask(text)


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "OPENAI_API_KEY_2",
        "github_token",
        "CLIENT_SECRET",
        "DB_PASSWORD",
        "AWS_CREDENTIALS",
        "KEYS",
        "PERDURE_ALERT_WEBHOOK",
        "SLACK_WEBHOOK_URL",
    ],
)
def test_a_value_is_replaced_by_its_variable(name: str) -> None:
    """By the name that a person would look for."""
    assert _mask(f"key={KEY}!", **{name: KEY}) == f"key=[{name}]!"


@pytest.mark.parametrize("name", ["PATH", "KEYBOARD", "TOKENIZERS", "SSH_AUTH_SOCK"])
def test_other_variables_are_no_secrets(name: str) -> None:
    """A name that only resembles one hides nothing."""
    assert _mask("a long value", **{name: "a long value"}) == "a long value"


def test_a_short_value_is_not_looked_for() -> None:
    """It would be found in the middle of ordinary words."""
    assert _mask("the secret test", A_KEY="test", B_KEY="", C_KEY="       ") == "the secret test"


@pytest.mark.parametrize(
    "written",
    [
        json.dumps(KEY)[1:-1],
        json.dumps(KEY, ensure_ascii=False)[1:-1],
        quote(KEY, safe=""),
        base64.b64encode(KEY.encode()).decode().rstrip("=")[:-1],
    ],
)
def test_a_secret_in_another_form_is_found(written: str) -> None:
    """As JSON, as part of a URL, as base64."""
    assert _mask(f"<{written}>", API_KEY=KEY).startswith("<[API_KEY]")


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
def test_base64_is_found_wherever_the_secret_begins_in_it(before: str) -> None:
    """A header of basic authentication holds the user's name first."""
    encoded = base64.b64encode(f"{before}{KEY}\n".encode()).decode()
    assert "[API_KEY]" in _mask(f"Basic {encoded}", API_KEY=KEY)


def test_the_password_in_a_url_is_a_secret() -> None:
    """As it stands there, and as it is meant; the rest of the URL is none."""
    url = "postgresql://anna:p%40ssw0rd%21@db.example/x"
    assert _mask(url, DATABASE_URL=url) == "postgresql://anna:[DATABASE_URL]@db.example/x"
    assert _mask("p@ssw0rd!", DATABASE_URL=url) == "[DATABASE_URL]"


@pytest.mark.parametrize("password", ["sl/ash-es", "at@at@at@", "co:lo:ns:"])
def test_a_password_that_breaks_its_url_is_found(password: str) -> None:
    """Database drivers take such URLs."""
    url = f"postgresql://anna:{password}@db/x"
    assert _mask(url, DATABASE_URL=url) == "postgresql://anna:[DATABASE_URL]@db/x"


def test_each_of_several_urls_is_looked_at() -> None:
    """One variable may name a cluster."""
    urls = "amqp://a:first-one@x,amqp://a:second-one@y"
    assert _mask("first-one second-one", BROKERS=urls) == "[BROKERS] [BROKERS]"


def test_a_password_that_is_the_users_name_is_none() -> None:
    """Or every mention of PostgreSQL would be masked on a developer's machine."""
    url = "postgresql://postgres:postgres@localhost/x"
    assert _mask(f"postgresql {url}", DATABASE_URL=url) == f"postgresql {url}"


def test_of_secrets_that_hold_each_other_the_longer_goes_first() -> None:
    """Or the rest of it would be left standing."""
    masked = _mask("12345678-abcdefgh", A_KEY="12345678", B_KEY="12345678-abcdefgh")
    assert masked == "[B_KEY]"


def test_the_lines_of_a_key_are_found_one_by_one() -> None:
    """A program may print it with numbered lines."""
    lines = ("MIIEvQIBADANBgkqhkiG9w0BAQEF", "AASCBKcwggSjAgEAAoIBAQC7VJTU")
    pem = "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----"])
    masked = _mask(f"1 -----BEGIN PRIVATE KEY-----\n2 {lines[0]}\n3 {lines[1]}", TLS_KEY=pem)
    assert masked == "1 -----BEGIN PRIVATE KEY-----\n2 [TLS_KEY]\n3 [TLS_KEY]"


def test_masking_a_megabyte_is_quick() -> None:
    """Every result of a tool is masked."""
    secrets = Secrets({f"A{number}_KEY": f"{number}-{KEY * 3}" for number in range(30)})
    text = ("sk-proj and other words; " * 42_000)[:1_000_000]
    best = min(_seconds(secrets, text) for _ in range(3))
    assert best < 1.0


def _seconds(secrets: Secrets, text: str) -> float:
    began = time.perf_counter()
    assert secrets.mask(text) == text
    return time.perf_counter() - began


class Awkward:
    """Something that cannot be formatted."""

    def __str__(self) -> str:
        raise RuntimeError(KEY)


def _logged(message: str, *args: object, exc_info: bool = False, stack_info: bool = False) -> str:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(MaskingFilter(Secrets({"API_KEY": KEY})))
    logger = logging.getLogger("perdure.test_secrets")
    logger.addHandler(handler)
    logger.warning(message, *args, exc_info=exc_info, stack_info=stack_info)
    logger.removeHandler(handler)
    return stream.getvalue()


def test_a_log_record_is_masked_whole() -> None:
    """In the message, in an argument, and in what an argument says when it is printed."""
    said = _logged(f"{KEY}: %s and %s", {"key": 1, "value": "x"}, ValueError(KEY))
    assert said == "[API_KEY]: {'key': 1, 'value': 'x'} and [API_KEY]\n"


def test_a_message_without_arguments_keeps_its_percent_signs() -> None:
    """Nothing is formatted twice."""
    assert _logged("100 %s") == "100 %s\n"
    assert _logged("%s", "100 %s") == "100 %s\n"


def test_an_exception_in_the_log_is_masked() -> None:
    """With its causes; the traceback stays."""
    try:
        int(KEY)
    except ValueError:
        said = _logged("failed", exc_info=True)
    assert "ValueError: invalid literal" in said
    assert "[API_KEY]" in said
    assert "Traceback" in said
    assert KEY not in said


def test_a_stack_in_the_log_is_masked() -> None:
    """It quotes lines of code."""
    assert "Stack (most recent call last)" in _logged("here", stack_info=True)


@pytest.mark.parametrize("args", [(Awkward(),), (1, 2)])
def test_a_record_that_cannot_be_formatted_is_told_without_its_arguments(
    args: tuple[object, ...],
) -> None:
    """A log call never raises, and never prints what could not be looked at."""
    assert _logged("value: %s", *args) == "value: %s [arguments that do not fit it]\n"
