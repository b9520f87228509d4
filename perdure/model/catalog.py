"""Which model a name stands for: endpoint, key, context window, mode and price."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from genai_prices import Usage as PricedUsage
from genai_prices import calc_price
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from perdure.errors import UnknownModel

LOCAL = "local"
NO_KEY = "none"
"""Sent where no key is needed."""
_BUILT_IN = Path(__file__).with_name("models.toml")
_DEFAULT_WINDOW = 128_000
_OPENAI_URL = "https://api.openai.com/v1"


class Model(BaseModel):
    """A model and how to ask it; the fields are explained in `models.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    model: str = ""
    base_url: str = _OPENAI_URL
    key: str = "OPENAI_API_KEY"
    window: int = Field(default=_DEFAULT_WINDOW, ge=1000)
    max_output_tokens: int | None = None
    mode: Literal["native", "json"] = "native"
    response_format: Literal["json_schema", "json_object", "none"] = "json_schema"
    temperature: float | None = None
    input_usd: float | None = None
    output_usd: float | None = None
    tools: tuple[str, ...] | None = None
    worked_examples: bool = False

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("an endpoint is written http://HOST:PORT/v1 or https://HOST/v1")
        return url

    @property
    def is_local(self) -> bool:
        return self.name == LOCAL

    def cost(self, *, input_tokens: int, cached_tokens: int, output_tokens: int) -> float | None:
        """Price of one reply in US dollars; None when nobody knows this model's price."""
        if self.input_usd is not None and self.output_usd is not None:
            return (input_tokens * self.input_usd + output_tokens * self.output_usd) / 1e6
        usage = PricedUsage(
            input_tokens=input_tokens,
            cache_read_tokens=min(cached_tokens, input_tokens),
            output_tokens=output_tokens,
        )
        try:
            return float(calc_price(usage, self.model, provider_api_url=self.base_url).total_price)
        except (LookupError, ValueError):
            return None

    @property
    def has_price(self) -> bool:
        return self.cost(input_tokens=1, cached_tokens=0, output_tokens=1) is not None


class _ModelsFile(BaseModel):
    """What a `models.toml` may say; each model's fields are checked when it is asked for."""

    model_config = ConfigDict(extra="forbid")

    default: str | None = None
    models: dict[str, dict[str, Any]] = {}


class Catalog:
    """The models of `models.toml` and of the data directory's own, and every other name.

    `environment` is where keys and OPENAI_BASE_URL are looked up.
    """

    def __init__(self, environment: Mapping[str, str], own_file: Path) -> None:
        self._environment = dict(environment)  # a copy: os.environ encodes at every look
        files = [_read(path) for path in (_BUILT_IN, own_file) if path.exists()]
        self._known = {name: fields for file in files for name, fields in file.models.items()}
        self._default = next(file.default for file in reversed(files) if file.default)
        self._found: dict[str, Model] = {}

    @property
    def default(self) -> str:
        """The model of a run that names none: hosted where there is a key, else the local one."""
        if chosen := self._environment.get("PERDURE_MODEL"):
            return chosen
        hosted = {"OPENAI_API_KEY", "OPENAI_BASE_URL"} & {
            k for k, v in self._environment.items() if v
        }
        return self._default if hosted else LOCAL

    def find(self, name: str) -> Model:
        """The model of that name; raises UnknownModel when `models.toml` says nonsense about it."""
        if name not in self._found:
            self._found[name] = self._resolve(name)
        return self._found[name]

    def key_of(self, model: Model) -> str:
        """The model's API key; raises UnknownModel with the cure when it is missing."""
        if model.is_local:
            return NO_KEY
        if key := self._environment.get(model.key, "").strip():
            if not key.isascii():
                message = (
                    f"The key in {model.key} holds a character that no key has. Copy it again."
                )
                raise UnknownModel(message)
            return key
        if model.base_url != _OPENAI_URL:
            return NO_KEY  # servers on one's own machine rarely ask for a key
        message = (
            f"Model '{model.name}' needs a key, and {model.key} is not set. Set it, or set"
            " OPENAI_BASE_URL to another OpenAI-compatible endpoint, or use --model local."
        )
        raise UnknownModel(message)

    def _resolve(self, name: str) -> Model:
        fields: dict[str, Any] = {"model": name, **self._known.get(name, {})}
        if "base_url" in fields:  # the key of one endpoint is not for another's eyes
            fields.setdefault("key", "")
        fields.setdefault("base_url", self._environment.get("OPENAI_BASE_URL") or _OPENAI_URL)
        fields.setdefault("window", _published_window(str(fields["model"])))
        try:
            return Model(name=name, **fields)
        except (ValidationError, TypeError) as error:
            message = (
                f"Model '{name}' cannot be asked: {_first(error)}."
                " Look at OPENAI_BASE_URL and models.toml."
            )
            raise UnknownModel(message) from error


def _read(path: Path) -> _ModelsFile:
    try:
        return _ModelsFile.model_validate(tomllib.loads(path.read_text()))
    except (OSError, ValueError) as error:
        message = f"{path} cannot be used: {error}. Mend it or remove it."
        raise UnknownModel(message) from error


def _published_window(model: str) -> int:
    try:
        price = calc_price(PricedUsage(input_tokens=1), model)
    except (LookupError, ValueError):
        return _DEFAULT_WINDOW
    return price.model.context_window or _DEFAULT_WINDOW


def _first(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return str(error)
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))} is {first['input']!r}: {first['msg']}"
