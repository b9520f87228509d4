"""Which runner and which formatter a project gets, on real folders."""

import json
import os
from pathlib import Path

import pytest

from perdure.tools.commands.project.choice import PURPOSES, Choice, Refused, choose
from perdure.tools.commands.project.folder import Folder


def _lay(root: Path, *files: str, **texts: str) -> None:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(texts.get(Path(name).stem, ""))


def _choice(root: Path, purpose: str, path: str = ".") -> Choice:
    return choose(root, path, *PURPOSES[purpose])


def _command(root: Path, purpose: str, path: str = ".") -> str:
    """What would be run, in which folder, because of which file."""
    choice = _choice(root, purpose, path)
    folder = choice.folder.place.relative_to(root)
    return f"{' '.join(choice.rule.argv(choice.folder))} in {folder} by {choice.sign}"


def _package(**fields: object) -> str:
    return json.dumps(fields)


PYTEST = "python3 -m pytest"


@pytest.mark.parametrize(
    ("files", "texts", "expected"),
    [
        (["pytest.ini"], {}, f"{PYTEST} in . by pytest.ini"),
        (
            ["pyproject.toml"],
            {"pyproject": "[tool.pytest.ini_options]"},
            f"{PYTEST} in . by pyproject.toml",
        ),
        (["setup.cfg"], {"setup": "[tool:pytest]"}, f"{PYTEST} in . by setup.cfg"),
        (["pyproject.toml"], {}, f"{PYTEST} in . by pyproject.toml"),
        (["a.py", "test_a.py"], {}, f"{PYTEST} in . by test_a.py"),
        (["a.py", "tests/test_a.py"], {}, f"{PYTEST} in . by tests/test_a.py"),
        (["Cargo.toml", "pyproject.toml"], {}, "cargo test in . by Cargo.toml"),
        (["go.mod"], {}, "go test ./... in . by go.mod"),
        (["pom.xml"], {}, "mvn test in . by pom.xml"),
        (["gradlew"], {}, "./gradlew test in . by gradlew"),
        (["Makefile"], {"Makefile": "all:\n\ntest: all\n"}, "make test in . by Makefile"),
        (["Makefile"], {"Makefile": "test := x\ncheck:\n"}, "make check in . by Makefile"),
    ],
)
def test_a_project_is_tested_by_its_own_runner(
    tmp_path: Path, files: list[str], texts: dict[str, str], expected: str
) -> None:
    """Which is known by its files, the surest first."""
    _lay(tmp_path, *files, **texts)
    assert _command(tmp_path, "test") == expected


@pytest.mark.parametrize(
    ("lock", "fields", "manager"),
    [
        ("package-lock.json", {}, "npm"),
        ("yarn.lock", {}, "yarn"),
        ("pnpm-lock.yaml", {}, "pnpm"),
        ("x.lock", {"packageManager": "bun@1.1.0"}, "bun"),
    ],
)
def test_scripts_are_run_by_the_package_manager_in_use(
    tmp_path: Path, lock: str, fields: dict[str, str], manager: str
) -> None:
    """It is known by its lock file, or named."""
    package = _package(scripts={"test": "vitest"}, **fields)
    _lay(tmp_path, "package.json", lock, "a.test.ts", package=package)
    assert _command(tmp_path, "test") == f"{manager} run test in . by package.json"
    dashes = " --" if manager == "npm" else ""
    one = f"{manager} run test{dashes} a.test.ts in . by package.json"
    assert _command(tmp_path, "test", "a.test.ts") == one


@pytest.mark.parametrize(
    "text",
    [
        _package(scripts={"test": 'echo "Error: no test specified" && exit 1'}),
        _package(scripts={"test": ""}),
        _package(scripts=["test"]),
        "[]",
        "{broken",
    ],
)
def test_a_package_without_tests_is_passed_over(tmp_path: Path, text: str) -> None:
    """The one that npm fills in only says that there is none."""
    _lay(tmp_path, "package.json", "test_a.py", package=text)
    assert _command(tmp_path, "test").startswith(PYTEST)


def test_a_part_is_tested_from_its_project(tmp_path: Path) -> None:
    """The nearest project at or above it counts, and a test's name goes along."""
    _lay(tmp_path, "pytest.ini", "back/pyproject.toml", "back/tests/test_b.py", "tests/test_a.py")
    for path, expected in (
        ("tests", f"{PYTEST} tests in . by pytest.ini"),
        ("tests/test_a.py::test_x", f"{PYTEST} tests/test_a.py::test_x in . by pytest.ini"),
        ("back", f"{PYTEST} in back by pyproject.toml"),
        ("back/tests/test_b.py", f"{PYTEST} tests/test_b.py in back by pyproject.toml"),
    ):
        assert _command(tmp_path, "test", path) == expected


def test_a_file_is_tested_by_a_runner_for_its_kind(tmp_path: Path) -> None:
    """Whatever else the project is."""
    _lay(tmp_path, "Cargo.toml", "go.mod", "sub/x_test.go", "tests/it.rs", "test_a.py", "notes.txt")
    assert _command(tmp_path, "test", "test_a.py") == f"{PYTEST} test_a.py in . by test_a.py"
    assert _command(tmp_path, "test", "sub/x_test.go") == "go test ./sub/... in . by go.mod"
    assert _command(tmp_path, "test", "tests/it.rs") == "cargo test --test it in . by Cargo.toml"
    with pytest.raises(Refused, match="nothing that is known for such a file"):
        _choice(tmp_path, "test", "notes.txt")


def test_tests_without_a_project_run_where_their_code_is(tmp_path: Path) -> None:
    """The folder that holds `tests` is the one to import from."""
    _lay(tmp_path, "lib/a.py", "lib/tests/test_a.py")
    expected = f"{PYTEST} tests in lib by test_a.py"
    assert _command(tmp_path, "test", "lib/tests") == expected
    assert _command(tmp_path, "test", "lib") == f"{PYTEST} in lib by tests/test_a.py"
    one = f"{PYTEST} tests/test_a.py in lib by test_a.py"
    assert _command(tmp_path, "test", "lib/tests/test_a.py") == one


def test_the_only_project_in_a_subfolder_is_found(tmp_path: Path) -> None:
    """What others have made, and what is hidden, is not looked into."""
    _lay(tmp_path, "back/end/go.mod", "node_modules/x/Cargo.toml", ".git/Cargo.toml")
    assert _command(tmp_path, "test") == "go test ./... in back/end by go.mod"


def test_of_several_projects_none_is_taken(tmp_path: Path) -> None:
    """The model chooses, and is told between what."""
    _lay(tmp_path, "back/go.mod", "front/package.json", package=_package(scripts={"test": "x"}))
    with pytest.raises(Refused, match="several projects: back, front. Give one"):
        _choice(tmp_path, "test")
    assert _command(tmp_path, "test", "back") == "go test ./... in back by go.mod"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (".", "Nothing at, above or below '.' says what to run. Looked for: pytest, cargo, "),
        ("none", "'none' does not exist in the workspace."),
        ("../x", "'../x' leads out of the workspace."),
        ("/etc", "'/etc' leads out of the workspace."),
    ],
)
def test_nothing_to_run_is_a_sentence(tmp_path: Path, path: str, message: str) -> None:
    """With what was looked for."""
    with pytest.raises(Refused) as caught:
        _choice(tmp_path, "test", path)
    assert str(caught.value).startswith(message)


def test_odd_files_are_no_obstacle(tmp_path: Path) -> None:
    """A pipe is not opened, a loop is not followed, and a binary file says nothing."""
    os.mkfifo(tmp_path / "pyproject.toml")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "Makefile").write_bytes(b"\xff\x00\ntest:\n")
    assert Folder(tmp_path).says("pyproject.toml", "x") is None
    assert Folder(tmp_path).says("Makefile", "test:") == "Makefile"


@pytest.mark.parametrize(
    ("files", "texts", "expected"),
    [
        (["ruff.toml"], {}, "ruff format . in . by ruff.toml"),
        (
            ["pyproject.toml"],
            {"pyproject": "[tool.ruff.lint]"},
            "ruff format . in . by pyproject.toml",
        ),
        (["pyproject.toml"], {"pyproject": "[tool.black]"}, "black . in . by pyproject.toml"),
        (["Cargo.toml"], {}, "cargo fmt in . by Cargo.toml"),
        (["go.mod"], {}, "gofmt -l -w . in . by go.mod"),
        (["biome.json"], {}, "biome format --write . in . by biome.json"),
        ([".prettierrc.json"], {}, "prettier --write . in . by .prettierrc.json"),
        (
            ["package.json"],
            {"package": _package(devDependencies={"prettier": "3"})},
            "prettier --write . in . by package.json",
        ),
        (
            ["package.json"],
            {"package": _package(scripts={"format": "x"})},
            "npm run format in . by package.json",
        ),
        (["Makefile"], {"Makefile": "fmt:\n"}, "make fmt in . by Makefile"),
        (["a.py"], {}, "ruff format . in . by a.py"),
    ],
)
def test_a_project_is_formatted_by_its_own_formatter(
    tmp_path: Path, files: list[str], texts: dict[str, str], expected: str
) -> None:
    """Or, with Python files alone, by what is installed."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name in ("python3", "ruff", "black"):
        (tmp_path / ".venv/bin" / name).symlink_to("/bin/true")
    _lay(tmp_path, *files, **texts)
    assert _command(tmp_path, "format") == expected


def test_the_projects_own_programs_come_first(tmp_path: Path) -> None:
    """From its virtual environment and its node_modules."""
    for place in (".venv/bin/python3", ".venv/bin/black", "node_modules/.bin/prettier"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).symlink_to("/bin/true")
    _lay(tmp_path, "a.py", ".venv/lib/python3.12/site-packages/pytest/__init__.py", "test_a.py")
    for purpose, name in (("format", "black"), ("test", "python3")):
        program, argv = _choice(tmp_path, purpose).command()
        assert (program, argv[0]) == (str(tmp_path / ".venv/bin" / name), name)
    assert Folder(tmp_path).program("prettier") == str(tmp_path / "node_modules/.bin/prettier")


def test_without_pytest_the_standard_library_tests(tmp_path: Path) -> None:
    """In a virtual environment that does not have it."""
    _lay(tmp_path, ".venv/bin/python3", "tests/test_a.py")
    assert _command(tmp_path, "test").startswith("python3 -m unittest discover -s tests in .")
    one = _command(tmp_path, "test", "tests/test_a.py")
    assert one.startswith("python3 -m unittest tests/test_a.py in .")


def test_a_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    """With the file that asks for it."""
    _lay(tmp_path, "biome.json")
    with pytest.raises(Refused, match=r"biome.json asks for biome, and the sandbox has no program"):
        _choice(tmp_path, "format").command()
