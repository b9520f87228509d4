"""Definitions in files: front matter for the facts, Markdown for the instructions."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import frontmatter
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from yaml import YAMLError

from perdure.contracts import PublicContract
from perdure.errors import PerdureError
from perdure.hints import did_you_mean

Spec = TypeVar("Spec", bound=PublicContract)


class Definitions(Generic[Spec]):
    """The definitions of some folders; of two with one name the later folder's is taken."""

    what: ClassVar[str]
    """What each of them defines, as errors call it."""
    spec: type[Spec]
    unknown: ClassVar[type[PerdureError]]

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def load(self, name: str) -> Spec:
        """The one of that name, or of that file if it ends in `.md`; raises `unknown`."""
        if name.endswith(".md"):
            return self._read(Path(name))
        files = self._files()
        if name not in files:
            raise self.unknown(self._no_such(name, sorted(files)))
        return self._read(files[name])

    def named(self, name: str) -> Spec:
        """The one of that name, for a request from anywhere: a file is on the asker's machine."""
        if name.endswith(".md"):
            what = self.what.capitalize()
            message = (
                f"{what} '{name}' is a file. Send its contents as an inline spec, or its name."
            )
            raise self.unknown(message)
        return self.load(name)

    def all(self) -> list[Spec]:
        return [self._read(path) for _name, path in sorted(self._files().items())]

    def _files(self) -> dict[str, Path]:
        return {path.stem: path for folder in self._folders for path in folder.glob("*.md")}

    def _read(self, path: Path) -> Spec:
        file = f"{self.what.capitalize()} file {path}"
        try:
            document = frontmatter.load(str(path))
            fields = {
                "name": path.stem,
                **document.metadata,
                "instructions": document.content,
            }
            return self.spec.model_validate(fields)
        except OSError as error:
            raise self.unknown(f"{file} cannot be read: {error.strerror}.") from error
        except ValidationError as error:
            raise self.unknown(f"{file} says something wrong: {problems(error)}.") from error
        except (TypeError, ValueError, YAMLError) as error:
            # Text that is not UTF-8, front matter that is not YAML, or whose fields are not words.
            problem = " ".join(str(error).split())
            raise self.unknown(f"{file} cannot be understood: {problem}.") from error

    def _no_such(self, name: str, known: Sequence[str]) -> str:
        return (
            f"{self.what.capitalize()} '{name}' is unknown.{did_you_mean(name, known)}"
            f" Known {self.what}s: {', '.join(known) or 'none'}."
        )


def problems(error: ValidationError) -> str:
    """Each with the field, if it is one that is wrong."""
    return "; ".join(map(_problem, error.errors()))


def _problem(details: ErrorDetails) -> str:
    field = ".".join(map(str, details["loc"]))
    reason = details["msg"].removeprefix("Value error, ")
    return f"{field}: {reason}" if field else reason
