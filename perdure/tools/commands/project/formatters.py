"""The formatters that are known, the surest sign first."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.tools.commands.project.folder import Folder
from perdure.tools.commands.project.rule import PYTHON, WEB, Argv, Rule, file, goal, script


def _on_part(*argv: str) -> Argv:
    return lambda folder: (*argv, folder.part or ".")


def _python_tool(name: str, *arguments: str) -> Argv:
    def argv(folder: Folder) -> Sequence[str]:
        is_module = not folder.program(name) and folder.imports(name)
        program = ("python3", "-m", name) if is_module else (name,)
        return (*program, *arguments, folder.part or ".")

    return argv


_ruff, _black = _python_tool("ruff", "format"), _python_tool("black")


def _installed(folder: Folder) -> Sequence[str]:
    known = {"ruff": _ruff, "black": _black}
    own = [name for name in known if folder.owns(name)]
    here = [name for name in known if folder.program(name) or folder.imports(name)]
    return known[[*own, *here, "ruff"][0]](folder)


def _ruff_settings(folder: Folder) -> str | None:
    return folder.has("ruff.toml", ".ruff.toml") or folder.says("pyproject.toml", r"\[tool\.ruff")


def _prettier_settings(folder: Folder) -> str | None:
    package = folder.package()
    keys = ("dependencies", "devDependencies")
    if "prettier" in package or any("prettier" in (package.get(key) or ()) for key in keys):
        return "package.json"
    return folder.holds(".prettierrc*", "prettier.config.*")


FORMATTERS = (
    Rule("ruff", _ruff_settings, _ruff, PYTHON),
    Rule("black", lambda folder: folder.says("pyproject.toml", r"\[tool\.black"), _black, PYTHON),
    Rule("cargo", file("Cargo.toml"), lambda _: ("cargo", "fmt"), ".rs"),
    Rule("biome", file("biome.json", "biome.jsonc"), _on_part("biome", "format", "--write"), WEB),
    Rule("prettier", _prettier_settings, _on_part("prettier", "--write"), WEB),
    script("format"),
    Rule("gofmt", file("go.mod"), _on_part("gofmt", "-l", "-w"), ".go"),
    Rule("mix", file("mix.exs"), lambda _: ("mix", "format"), ".ex .exs"),
    goal("format"),
    goal("fmt"),
)
LOOSE_FORMATTERS = (
    Rule("Python files", lambda folder: folder.holds("*.py", "*/*.py"), _installed, PYTHON),
)
