"""Asking a model over the OpenAI-compatible API, and telling apart why it did not answer."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import httpx2
import openai
from openai import AsyncOpenAI

from perdure.errors import BrokenReply, ModelBusy, ModelRefused, PerdureError, PromptTooLong
from perdure.model.catalog import NO_KEY, Catalog, Model
from perdure.model.prompt import Prompt
from perdure.model.reply import Reply, read_message

_TIMEOUT = httpx2.Timeout(600.0, connect=10.0)
_LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=200)
_LONGEST_PAUSE = 30.0
"""Seconds that a request waits here for its turn; a longer pause is left to the retry policy."""
_LONGEST_RETRY_AFTER = 3600.0
_MOST_TOKENS = 2**31 - 1
_BUSY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}
_SERVER_ERRORS = 500
_TOO_LONG = (
    "context_length_exceeded",
    "context length",
    "context window",
    "maximum context",
)


class Models:
    """Every endpoint that runs ask, each with one client and one memory of 'not before'."""

    def __init__(self, catalog: Catalog, local_url: Callable[[], Awaitable[str]]) -> None:
        self.catalog = catalog
        self._local_url = local_url
        self._clients: dict[tuple[str, str], AsyncOpenAI] = {}
        self._not_before: dict[str, float] = {}

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def ask(self, model: Model, prompt: Prompt) -> Reply:
        """One reply; raises ModelBusy, ModelRefused or UnknownModel."""
        key = self.catalog.key_of(model)
        try:
            return await self._ask(model, prompt, key)
        except PerdureError as error:
            if key != NO_KEY:  # some endpoints quote the key that they refuse
                error.args = (str(error).replace(key, f"${model.key}"),)
            raise

    async def _ask(self, model: Model, prompt: Prompt, key: str) -> Reply:
        base_url = await self._local_url() if model.is_local else model.base_url
        await self._wait_for_turn(base_url)
        try:
            completion = await self._post(base_url, key, prompt.body)
        except openai.APIStatusError as error:
            raise self._explain(error, model, base_url) from error
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            message = f"{base_url} cannot be reached: {cause!r}. Is the server up?"
            raise ModelBusy(message) from error
        try:
            return _read(completion, model, prompt)
        except (AttributeError, LookupError, TypeError) as error:
            message = f"{base_url} sent a reply of a form that is not the API's: {error!r}."
            raise BrokenReply(message) from error

    async def _post(self, base_url: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
        # `post` rather than `chat.completions.create`: the latter walks every message of a long
        # transcript twice, to convert types that ours already have.
        client = self._client(base_url, key)
        response = await client.post("/chat/completions", body=body, cast_to=httpx2.Response)
        try:
            completion = json.loads(response.content)
        except (ValueError, RecursionError) as error:
            message = f"{base_url} sent a reply that is not JSON ({error})."
            raise BrokenReply(message) from error
        if not isinstance(completion, dict) or not completion.get("choices"):
            message = f"{base_url} sent a reply without choices: {response.text[:200]}"
            raise BrokenReply(message)
        return completion

    def _client(self, base_url: str, key: str) -> AsyncOpenAI:
        if (base_url, key) not in self._clients:
            # Retries are Temporal's: they survive this process and are seen in the Web UI.
            # aiohttp, because httpx walks its whole pool for each of a hundred requests.
            self._clients[base_url, key] = AsyncOpenAI(
                base_url=base_url,
                api_key=key,
                max_retries=0,
                http_client=openai.DefaultAioHttpClient(timeout=_TIMEOUT, limits=_LIMITS),
            )
        return self._clients[base_url, key]

    async def _wait_for_turn(self, base_url: str) -> None:
        """One 'Retry-After' holds for every run in this worker, not for the one that met it."""
        while (pause := self._not_before.get(base_url, 0.0) - time.monotonic()) > 0:
            if pause > _LONGEST_PAUSE:
                message = f"{base_url} asked for a pause that lasts {pause:.0f} s yet."
                raise ModelBusy(message, pause)
            await asyncio.sleep(pause)

    def _explain(self, error: openai.APIStatusError, model: Model, base_url: str) -> PerdureError:
        status = error.status_code
        out_of_quota = error.code == "insufficient_quota"
        if not (status in _BUSY or status >= _SERVER_ERRORS) or out_of_quota:
            return _refusal(error, model, base_url)
        retry_after = _retry_after(error)
        if retry_after is not None:
            earlier = self._not_before.get(base_url, 0.0)
            self._not_before[base_url] = max(earlier, time.monotonic() + retry_after)
        return ModelBusy(f"{base_url} is busy ({status}): {_server_words(error)}", retry_after)


def _refusal(error: openai.APIStatusError, model: Model, base_url: str) -> ModelRefused:
    said = _server_words(error)
    status = error.status_code
    refused: type[ModelRefused] = ModelRefused
    if error.code == "insufficient_quota":
        message = f"The quota of the key in {model.key} is used up: {said} Add credit."
    elif status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        message = (
            f"{base_url} refused the key in {model.key} ({status}): {said}"
            f" Put a valid key into {model.key}."
        )
    elif status == HTTPStatus.NOT_FOUND:
        message = (
            f"Model '{model.model}' is not known to {base_url}: {said} Choose another with"
            " --model or PERDURE_MODEL, or set OPENAI_BASE_URL to the endpoint that has it."
        )
    elif any(mark in f"{error.code} {said}".lower() for mark in _TOO_LONG):
        refused = PromptTooLong
        message = (
            f"The prompt is too long for model '{model.name}': {said} Set its `window` in"
            " models.toml."
        )
    else:
        message = (
            f"{base_url} did not accept the request for model '{model.name}' ({status}):"
            f" {said} Look at its `mode` in models.toml if it is about tools."
        )
    return refused(message)


def _read(completion: dict[str, Any], model: Model, prompt: Prompt) -> Reply:
    choice = completion["choices"][0]
    text, native_calls = read_message(choice)
    usage = completion.get("usage") or {}
    input_tokens = _count(usage.get("prompt_tokens"))
    output_tokens = _count(usage.get("completion_tokens"))
    cached = _count((usage.get("prompt_tokens_details") or {}).get("cached_tokens"))
    thought, calls, problem = prompt.understand(text, native_calls, choice.get("finish_reason"))
    return Reply(
        thought=thought,
        calls=calls,
        finish_reason=choice.get("finish_reason") or "",
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=model.cost(
            input_tokens=input_tokens, cached_tokens=cached, output_tokens=output_tokens
        ),
        problem=problem,
    )


def _count(tokens: object) -> int:
    """A number of tokens as the store can keep it; 0 when the server says nothing of use."""
    return min(max(tokens, 0), _MOST_TOKENS) if isinstance(tokens, int) else 0


def _server_words(error: openai.APIStatusError) -> str:
    """What the server itself says, in one line."""
    body = error.body
    said = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(said or error.message).split())[:300].rstrip(".") + "."


def _retry_after(error: openai.APIStatusError) -> float | None:
    """Seconds of the header Retry-After; its other form, a date, is left to the retry policy."""
    try:
        asked = float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(max(0.0, asked), _LONGEST_RETRY_AFTER)
