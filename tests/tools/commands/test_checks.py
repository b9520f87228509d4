"""The project's own tests and formatter, in real sandboxes."""

from perdure.tools.commands.checks import format_code, run_tests
from tests.tools.commands.bench import Bench

TESTS = """import unittest
from fib import fib

class Fib(unittest.TestCase):
    def test_fib(self):
        self.assertEqual([fib(n) for n in range(7)], [0, 1, 1, 2, 3, 5, 8])
"""
FIB = "def fib(n):\n    return n if n < {} else fib(n - 1) + fib(n - 2)\n"


async def test_python_tests_run_with_what_is_installed(bench: Bench) -> None:
    """A failing test is a result; the choice and its reason come first."""
    bench.write("tests/test_fib.py", TESTS)
    bench.write("fib.py", FIB.format(3))
    told = await bench.call(run_tests)
    assert told.startswith("[python3 -m ")
    assert " in ., because of tests/test_fib.py]\n" in told
    assert "[exit code 1 after " in told
    bench.write("fib.py", FIB.format(2) + "# mended\n")
    told = await bench.call(run_tests, path="tests/test_fib.py")
    assert "tests/test_fib.py in ., because of test_fib.py]\n" in told
    assert "[exit code 0 after " in told


async def test_a_goal_of_make_runs_where_its_makefile_is(bench: Bench) -> None:
    """With the variable that says that nobody is watching."""
    bench.write("sub/Makefile", "test:\n\t@echo $$CI; basename $$PWD\nformat:\n\t@echo neat\n")
    told = await bench.call(run_tests, path="sub")
    assert told.startswith("[make test in sub, because of Makefile]\ntrue\nsub\n[exit code 0")
    assert "[make format in sub, because of Makefile]\nneat\n" in await bench.call(format_code)


async def test_a_second_attempt_is_the_same_command(bench: Bench) -> None:
    """Though the first one has changed what is found: the choice is made inside, once."""
    bench.write("Makefile", "test:\n\t@echo run >> log; touch pytest.ini\n")
    first = await bench.call(run_tests, key="run:once")
    assert await bench.call(run_tests, key="run:once") == first
    assert (bench.root / "log").read_text() == "run\n"


async def test_nothing_to_run_is_an_error(bench: Bench) -> None:
    """With what was looked for, and without an exit code."""
    told = await bench.refusal(run_tests)
    assert told.startswith("Nothing at, above or below '.' says what to run. Looked for: pytest,")
    assert told.endswith("Use execute_shell with the right command.")
    assert "'a' does not exist" in await bench.refusal(format_code, path="a")
    assert "leads out of the workspace" in await bench.refusal(format_code, path="../a")
    assert "no file name can hold" in await bench.refusal(format_code, path="a\0")


async def test_a_command_with_the_exit_code_of_a_refusal_is_none(bench: Bench) -> None:
    """What was run may end as it likes."""
    bench.write("package.json", '{"scripts": {"test": "exit 78"}, "packageManager": "./npm"}')
    bench.write("npm", "#!/bin/sh\nexit 78\n")
    (bench.root / "npm").chmod(0o755)
    told = await bench.call(run_tests)
    assert told.startswith("[./npm run test in ., because of package.json]\n[exit code 78 after ")


async def test_a_module_of_the_workspace_does_not_get_in_the_way(bench: Bench) -> None:
    """It may be called like one of Python's own."""
    bench.write("json.py", "raise SystemExit('mine')")
    bench.write("Makefile", "test:\n\t@echo well\n")
    assert "\nwell\n" in await bench.call(run_tests)
