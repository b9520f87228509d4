"""One request to a model, in the mode it speaks: what to send, and how to understand the reply."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from perdure.contracts import FINISH, AgentSpec
from perdure.errors import ToolError
from perdure.model import json_step
from perdure.model.catalog import Model
from perdure.model.local.examples import INSTRUCTIONS, example_messages
from perdure.model.reply import EMPTY, RequestedCall, find_problem
from perdure.model.transcript import ChatMessage, Exchange, native_messages
from perdure.tools.arguments import parse
from perdure.tools.registry import Offer

_RULES = (
    "Work step by step with the tools until the task is done, then call finish with your answer."
    " Look before you change things, and check your work before you finish."
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request's body; `tools` are the ones it offers."""

    mode: str
    body: dict[str, Any]
    tools: Mapping[str, Offer]

    def understand(
        self, text: str, calls: tuple[RequestedCall, ...], finish_reason: str | None
    ) -> tuple[str, tuple[RequestedCall, ...], str | None]:
        """Thought, calls and problem of a reply."""
        if problem := find_problem(text, calls, finish_reason or ""):
            return text, (), problem
        if not self.tools:
            return self._last_words(text, calls), (), None
        if self.mode == "native":
            return text, calls, None
        try:
            thought, calls = json_step.read_step(text)
        except json_step.NotAStep as error:
            return text, (), str(error)
        return thought, calls, None if calls or thought.strip() else EMPTY

    def _last_words(self, text: str, calls: tuple[RequestedCall, ...]) -> str:
        """A closing reply's text, or its answer where the model called finish all the same."""
        if self.mode == "json":
            with suppress(json_step.NotAStep):
                text, calls = json_step.read_step(text)
        for call in calls:
            if call.tool == FINISH:
                with suppress(ToolError):
                    answer = next(iter(parse(call.tool, call.arguments).values()), text)
                    return answer if isinstance(answer, str) else json.dumps(answer)
        return text


def system_text(spec: AgentSpec) -> str:
    return f"{spec.instructions.strip() or f'You are {spec.name}.'}\n\n{_RULES}"


def build_prompt(
    model: Model,
    spec: AgentSpec,
    tools: Sequence[Offer],
    exchanges: Sequence[Exchange],
    *,
    closing: bool,
) -> Prompt:
    """The request for the reply to the last of `exchanges`; a closing one may call no tool."""
    body: dict[str, Any] = {"model": model.model}
    if model.temperature is not None:
        body["temperature"] = model.temperature
    if model.max_output_tokens is not None:
        body["max_tokens"] = model.max_output_tokens
    build = _native_parts if model.mode == "native" else _json_parts
    body |= build(model, spec, tools, exchanges, closing=closing)
    offered = {} if closing else {tool.name: tool for tool in tools}
    return Prompt(mode=model.mode, body=body, tools=offered)


def _native_parts(
    model: Model,
    spec: AgentSpec,
    tools: Sequence[Offer],
    exchanges: Sequence[Exchange],
    *,
    closing: bool,
) -> dict[str, Any]:
    system = INSTRUCTIONS if model.worked_examples else system_text(spec)
    examples = example_messages() if model.worked_examples else []
    opening: ChatMessage = {"role": "system", "content": system}
    parts: dict[str, Any] = {"messages": [opening, *examples, *native_messages(exchanges)]}
    if tools:
        parts["tools"] = [_function(tool) for tool in tools]
        # The tools stay when none may be called: some servers refuse a past call without them.
        parts["tool_choice"] = "none" if closing else "auto"
    return parts


def _json_parts(
    model: Model,
    spec: AgentSpec,
    tools: Sequence[Offer],
    exchanges: Sequence[Exchange],
    *,
    closing: bool,
) -> dict[str, Any]:
    form = "" if closing else "\n\n" + json_step.instructions(tools)
    opening: ChatMessage = {"role": "system", "content": system_text(spec) + form}
    parts: dict[str, Any] = {"messages": [opening, *json_step.json_messages(exchanges)]}
    if not closing and model.response_format == "json_object":
        parts["response_format"] = {"type": "json_object"}
    elif not closing and model.response_format == "json_schema":
        step = {"name": "step", "schema": json_step.schema(tools)}
        parts["response_format"] = {"type": "json_schema", "json_schema": step}
    return parts


def _function(tool: Offer) -> dict[str, Any]:
    described = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return {"type": "function", "function": described}
