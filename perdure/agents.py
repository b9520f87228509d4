"""Agents in files: front matter for the facts, Markdown for the instructions."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import frontmatter
from pydantic import ValidationError
from yaml import YAMLError

from perdure.contracts import AgentSpec
from perdure.errors import UnknownAgent


class Agents:
    """The agents of some folders; of two with one name the later folder's is taken."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def load(self, name: str) -> AgentSpec:
        """The agent of that name, or of that file if it ends in `.md`; raises UnknownAgent."""
        if name.endswith(".md"):
            return _read(Path(name))
        files = self._files()
        if name not in files:
            raise UnknownAgent(_unknown(name, sorted(files)))
        return _read(files[name])

    def all(self) -> list[AgentSpec]:
        return [_read(path) for _name, path in sorted(self._files().items())]

    def _files(self) -> dict[str, Path]:
        return {path.stem: path for folder in self._folders for path in folder.glob("*.md")}


def _read(path: Path) -> AgentSpec:
    try:
        document = frontmatter.load(str(path))
        fields = {
            "name": path.stem,
            **document.metadata,
            "instructions": document.content,
        }
        return AgentSpec.model_validate(fields)
    except OSError as error:
        message = f"Agent file {path} cannot be read: {error.strerror}."
        raise UnknownAgent(message) from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
        )
        message = f"Agent file {path} says something wrong: {problems}."
        raise UnknownAgent(message) from error
    except (TypeError, ValueError, YAMLError) as error:
        # Text that is not UTF-8, front matter that is not YAML, or whose fields are not words.
        problem = " ".join(str(error).split())
        message = f"Agent file {path} cannot be understood: {problem}."
        raise UnknownAgent(message) from error


def _unknown(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, n=1)
    guess = f" Did you mean '{close[0]}'?" if close else ""
    return f"Agent '{name}' is unknown.{guess} Known agents: {', '.join(known) or 'none'}."
