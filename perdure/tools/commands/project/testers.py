"""The test runners that are known, the surest sign first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from perdure.tools.commands.project.folder import Folder
from perdure.tools.commands.project.rule import PYTHON, Rule, file, given, goal, script


def _pytest_settings(folder: Folder) -> str | None:
    return (
        folder.has("pytest.ini", ".pytest.ini")
        or folder.says("pyproject.toml", r"\[tool\.pytest")
        or folder.says("setup.cfg", r"\[tool:pytest\]")
        or folder.says("tox.ini", r"\[pytest\]")
    )


def _test_files(folder: Folder) -> str | None:
    return folder.holds("test_*.py", "*_test.py", "tests/*.py", "tests/*/*.py", "test/*.py")


def _python(folder: Folder) -> Sequence[str]:
    if folder.imports("pytest"):
        # As a module, so that the tests can import what is in the folder.
        return ("python3", "-m", "pytest", *given(folder))
    if folder.part.endswith(".py"):
        return ("python3", "-m", "unittest", folder.part)
    start = folder.part or folder.has("tests", "test") or "."
    return ("python3", "-m", "unittest", "discover", "-s", start)


def _cargo(folder: Folder) -> Sequence[str]:
    suite = re.fullmatch(r"tests/(\w+)\.rs", folder.part)
    return ("cargo", "test", *(("--test", suite[1]) if suite else ()))


def _go(folder: Folder) -> Sequence[str]:
    part = Path(folder.part)
    place = Path(part.parent if part.suffix == ".go" else part, "...")
    return ("go", "test", f"./{place}")


TESTERS = (
    Rule("pytest", _pytest_settings, _python, PYTHON),
    Rule("cargo", file("Cargo.toml"), _cargo, ".rs"),
    script("test"),
    Rule("go", file("go.mod"), _go, ".go"),
    Rule("mix", file("mix.exs"), lambda folder: ("mix", "test", *given(folder)), ".exs"),
    Rule("gradle", file("gradlew"), lambda _: ("./gradlew", "test")),
    Rule("maven", file("pom.xml"), lambda _: ("mvn", "test")),
    Rule("Python project", file("pyproject.toml", "setup.py", "setup.cfg"), _python, PYTHON),
    goal("test"),
    goal("check"),
)
LOOSE_TESTERS = (Rule("Python test files", _test_files, _python, PYTHON),)
