"""What the local model reads and writes: chat requests as prompts, its steps as native tool calls.

The model's chat template knows no tools. So every call, those of the worked examples included, is
written as one JSON step, a grammar holds the model to such a step, and its step becomes a call.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from pydantic import BaseModel, Field

from perdure.model.local.grammar import Schema, enforceable, grammar_of, step_schema

MOST_TOKENS = 512
"""Of one reply, when the request sets no limit."""

_SPEAKERS = {
    "developer": ("system", ""),
    # Without the label of tasks, 12 of 20 reads succeed instead of 20.
    "user": ("user", "Task: "),
    "tool": ("user", "Result: "),
}
"""Role in a request: role in the chat template, and what the text is labelled with."""

Line = dict[str, str]


class Function(BaseModel):
    """A tool as a chat request declares it."""

    name: str
    parameters: Schema = {}


class Tool(BaseModel):
    """One entry of `tools`."""

    type: Literal["function"] = "function"
    function: Function


class CalledFunction(BaseModel):
    """The function of an earlier call; `arguments` is the model's own text."""

    name: str
    arguments: str = ""


class ToolCall(BaseModel):
    """A call in an earlier message of the assistant."""

    function: CalledFunction


class TextPart(BaseModel):
    """The one kind of content part that a text model can read."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message of a chat request."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: list[ToolCall] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class NamedFunction(BaseModel):
    """The name in a `tool_choice` that asks for one tool."""

    name: str


class NamedTool(BaseModel):
    """A `tool_choice` that asks for one tool."""

    function: NamedFunction


class JsonSchema(BaseModel):
    """The schema of a `response_format`."""

    schema_: Schema = Field(alias="schema")


class ResponseFormat(BaseModel):
    """The shape that a reply in plain text must have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatRequest(BaseModel):
    """The part of OpenAI's chat completion request that the local server carries out."""

    messages: list[Message] = Field(min_length=1)
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    response_format: ResponseFormat | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stream: Literal[False] | None = None
    n: Literal[1] | None = None

    @property
    def offered(self) -> dict[str, Schema]:
        """The tools that the reply may call: name to parameters."""
        if self.tool_choice == "none":
            return {}
        tools = {tool.function.name: tool.function.parameters for tool in self.tools or ()}
        if isinstance(self.tool_choice, NamedTool):
            wanted = self.tool_choice.function.name
            if wanted not in tools:
                raise ValueError(
                    f"tool_choice names {wanted!r}, which is not among the tools: {list(tools)}."
                )
            return {wanted: tools[wanted]}
        return tools

    @property
    def may_reply(self) -> bool:
        """Whether plain text is an answer too, beside a call."""
        return self.tool_choice in (None, "auto", "none")


@dataclass(frozen=True)
class Prompt:
    """A chat request as the engine takes it."""

    request: dict[str, Any]
    """Body of llama.cpp's own chat completion request."""
    steps: bool
    """Whether the reply will be a JSON step: a call, or plain text as its `reply`."""


class GrammarRefused(Exception):
    """The engine let the model write freely: it could not use the grammar that it was given."""


def prompt_of(request: ChatRequest) -> Prompt:
    """The engine's request for `request`, held to a step when tools are offered."""
    offered = request.offered
    sampling = request.model_dump(
        include={"temperature", "top_p", "seed", "stop"}, exclude_none=True
    )
    body = {
        "messages": _messages(request, offered),
        "max_tokens": request.max_completion_tokens or request.max_tokens or MOST_TOKENS,
        **sampling,
    }
    if schema := _reply_schema(request, offered):
        body["grammar"] = grammar_of(schema)
    return Prompt(request=body, steps=bool(request.tools))


def completion_of(prompt: Prompt, completion: dict[str, Any]) -> dict[str, Any]:
    """The engine's `completion`, with its step turned into a tool call or a plain reply."""
    choice = completion["choices"][0]
    if not prompt.steps or choice["finish_reason"] == "length":
        return completion
    return completion | {"choices": [choice | _answer(choice["message"]["content"])]}


def _reply_schema(request: ChatRequest, offered: dict[str, Schema]) -> Schema | None:
    if request.tools:
        return step_schema(offered, reply=request.may_reply)
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return None
    return enforceable(wanted.json_schema.schema_ if wanted.json_schema else {"type": "object"})


def _messages(request: ChatRequest, offered: dict[str, Schema]) -> list[Line]:
    messages = [line for message in request.messages for line in _lines(message)]
    return _instructed(messages, offered) if offered else messages


def _instructed(messages: list[Line], offered: dict[str, Schema]) -> list[Line]:
    """`messages` with the tools named in the system message."""
    signatures = ", ".join(
        f"{name}({', '.join(parameters.get('required', ()))})"
        for name, parameters in offered.items()
    )
    instructions = f"Reply with one JSON step. Tools: {signatures}."
    if messages[0]["role"] == "system":
        instructions = f"{messages[0]['content']} {instructions}"
        messages = messages[1:]
    return [{"role": "system", "content": instructions}, *messages]


def _lines(message: Message) -> list[Line]:
    """`message` in the roles that the chat template knows; calls become steps."""
    if message.tool_calls:
        # Text beside the calls is left out: with a thought in its steps this model fails.
        return [{"role": "assistant", "content": _step(call)} for call in message.tool_calls]
    role, label = _SPEAKERS.get(message.role, (message.role, ""))
    return [{"role": role, "content": label + message.text}]


def _step(call: ToolCall) -> str:
    try:
        arguments = json.loads(call.function.arguments or "{}")
    except ValueError:
        arguments = call.function.arguments
    return json.dumps({"tool": call.function.name, "arguments": arguments})


def _answer(content: str) -> dict[str, Any]:
    """The message and finish reason that the step in `content` stands for."""
    try:
        step = json.loads(content)
    except ValueError as error:
        raise GrammarRefused(content) from error
    if "reply" in step:
        return {
            "message": {"role": "assistant", "content": step["reply"]},
            "finish_reason": "stop",
        }
    function = {"name": step["tool"], "arguments": json.dumps(step["arguments"])}
    call = {"id": f"call_{uuid4().hex[:24]}", "type": "function", "function": function}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"message": message, "finish_reason": "tool_calls"}
