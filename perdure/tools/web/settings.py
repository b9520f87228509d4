"""What the environment says about the web: how it is searched, and what may be fetched."""

from typing import Annotated, Literal

from pydantic import BeforeValidator
from pydantic_settings import NoDecode, SettingsConfigDict

from perdure.settings import Environment
from perdure.tools.web.addresses import Permitted


class WebSettings(Environment):
    """Read anew for each call."""

    model_config = SettingsConfigDict(validate_default=False)  # they are no text to be read

    fetch_allow: Annotated[Permitted, NoDecode, BeforeValidator(Permitted.parse)] = Permitted()
    """Hosts and networks that may be fetched from although they are private."""
    search: Literal["ddgs", "searxng"] = "ddgs"
    search_url: str | None = None
    """Address of a SearXNG instance whose settings name `json` under `search.formats`."""
