"""A rule: how one kind of project is recognized, and what is run for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from perdure.tools.commands.project.folder import Folder

Argv = Callable[[Folder], Sequence[str]]

PYTHON = ".py .pyi"
WEB = ".js .jsx .mjs .cjs .ts .tsx .mts .cts .vue .svelte .css .scss .html .json .md .yaml .yml"


class Rule(NamedTuple):
    """One kind of project."""

    name: str
    sign: Callable[[Folder], str | None]
    """The file that shows that a folder is such a project."""
    argv: Argv
    suffixes: str = ""
    """Of files that may be asked for alone."""


def script(name: str) -> Rule:
    """A script of `package.json`, run by the package manager that the project uses."""

    def sign(folder: Folder) -> str | None:
        scripts = folder.package().get("scripts")
        text = str(scripts.get(name, "")) if isinstance(scripts, dict) else ""
        # npm itself fills in a test that only says that there is none.
        return "package.json" if text and "no test specified" not in text else None

    def argv(folder: Folder) -> Sequence[str]:
        manager = _package_manager(folder)
        dashes = ("--",) if manager == "npm" and folder.part else ()
        return (manager, "run", name, *dashes, *given(folder))

    return Rule(f"script {name} of package.json", sign, argv, WEB)


def goal(name: str) -> Rule:
    """A goal of the Makefile."""

    def sign(folder: Folder) -> str | None:
        return folder.says("Makefile", rf"{name}[ \t]*:(?!=)")

    return Rule(f"goal {name} of Makefile", sign, lambda _: ("make", name))


def file(*names: str) -> Callable[[Folder], str | None]:
    """The sign that one of these files is."""
    return lambda folder: folder.has(*names)


def given(folder: Folder) -> Sequence[str]:
    return (folder.part,) if folder.part else ()


def _package_manager(folder: Folder) -> str:
    locks = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lock": "bun", "bun.lockb": "bun"}
    named = str(folder.package().get("packageManager", "")).partition("@")[0]
    return named or locks.get(folder.has(*locks) or "", "npm")
