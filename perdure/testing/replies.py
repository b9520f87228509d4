"""What a scripted model can reply, and the builders that make a script readable."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolCall(_Reply):
    """A call of one tool; `arguments` is the text that the model wrote, valid JSON or not."""

    tool: str
    arguments: str


class Completion(_Reply):
    """A chat completion. Token counts left open are a quarter of the characters."""

    kind: Literal["completion"] = "completion"
    text: str | None = None
    calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"
    input_tokens: int | None = None
    output_tokens: int | None = None

    def using(self, input_tokens: int, output_tokens: int) -> "Completion":
        """The same reply with these token counts."""
        tokens = {"input_tokens": input_tokens, "output_tokens": output_tokens}
        return self.model_copy(update=tokens)


class Status(_Reply):
    """An HTTP error in OpenAI's form."""

    kind: Literal["status"] = "status"
    status: int
    message: str
    code: str | None = None
    retry_after: float | None = None


class Drop(_Reply):
    """The connection closes, in the middle of the reply or before its first byte."""

    kind: Literal["drop"] = "drop"
    midway: bool = True


class HalfJson(_Reply):
    """A complete HTTP reply whose JSON is cut off."""

    kind: Literal["half_json"] = "half_json"


class Hang(_Reply):
    """No reply ever, on an open connection."""

    kind: Literal["hang"] = "hang"


class Slow(_Reply):
    """Another reply, after a while."""

    kind: Literal["slow"] = "slow"
    seconds: float
    reply: "Reply"


Reply = Annotated[Completion | Status | Drop | HalfJson | Hang | Slow, Field(discriminator="kind")]


def say(text: str) -> Completion:
    """A reply in plain text."""
    return Completion(text=text)


def raw_call(tool: str, arguments: str) -> Completion:
    """A tool call with exactly this text as its arguments, such as `{"half`."""
    return Completion(calls=(ToolCall(tool=tool, arguments=arguments),), finish_reason="tool_calls")


def call(tool: str, /, **arguments: Any) -> Completion:
    """A tool call: `call("read_file", path="a.txt")`."""
    return raw_call(tool, json.dumps(arguments))


def calls(*replies: Completion, say: str | None = None) -> Completion:
    """Several tool calls in one reply, with some text beside them."""
    every = tuple(each for reply in replies for each in reply.calls)
    return Completion(text=say, calls=every, finish_reason="tool_calls")


def finish(answer: str) -> Completion:
    """The call of the control tool `finish`."""
    return call("finish", answer=answer)


def json_step(
    tool: str, /, *, thought: str = "", is_final: bool = False, **arguments: Any
) -> Completion:
    """A step as text, as a model without native tool calls writes it."""
    action = {"tool": tool, "input": arguments}
    return say(json.dumps({"thought": thought, "action": action, "is_final": is_final}))


def empty() -> Completion:
    """A reply with neither text nor calls."""
    return Completion()


def truncated(text: str) -> Completion:
    """A reply that the output limit cut off."""
    return Completion(text=text, finish_reason="length")


def filtered() -> Completion:
    """A reply that the provider's content filter withheld."""
    return Completion(finish_reason="content_filter")


def big(size: int) -> Completion:
    """A text of `size` bytes."""
    return say("0123456789abcdef" * (size // 16) + "." * (size % 16))


def status(
    status: int,
    message: str = "The script says so.",
    *,
    code: str | None = None,
    retry_after: float | None = None,
) -> Status:
    """An HTTP error: `status(429, retry_after=0.1)`, `status(429, code="insufficient_quota")`."""
    return Status(status=status, message=message, code=code, retry_after=retry_after)


def drop(*, midway: bool = True) -> Drop:
    """A connection that closes in the middle of the reply, or before it."""
    return Drop(midway=midway)


def half_json() -> HalfJson:
    """A reply with status 200 whose JSON is cut off."""
    return HalfJson()


def hang() -> Hang:
    """No reply, until the client gives up."""
    return Hang()


def slow(seconds: float, reply: Reply) -> Slow:
    """`reply`, after `seconds`."""
    return Slow(seconds=seconds, reply=reply)
