"""Python code, in real sandboxes."""

from perdure.tools.commands.code import run_python
from tests.tools.commands.bench import Bench

END = "[exit code 0 after "


async def test_what_a_program_prints_comes_back(bench: Bench) -> None:
    """It is a program like any: it has a name, no input, and modules of the folder to import."""
    bench.write("sub/mine.py", "VALUE = 'é'")
    code = "import sys, mine\nprint(mine.VALUE, __name__, repr(sys.stdin.read()))"
    told = await bench.call(run_python, code=code, folder="sub")
    assert told.startswith(f"é __main__ ''\n{END}")


async def test_a_traceback_shows_the_lines(bench: Bench) -> None:
    """Those of the code, and none of what started it."""
    code = "def half(x):\n    return 1 / x\n\nprint('before')\nhalf(0)\n"
    told = await bench.call(run_python, code=code)
    assert told.startswith('before\nTraceback (most recent call last):\n  File "<code>", line 5')
    assert "    return 1 / x\n" in told
    assert "ZeroDivisionError: division by zero\n[exit code 1 after " in told
    assert "_run" not in told


async def test_a_mistake_in_the_syntax_is_shown(bench: Bench) -> None:
    """With the line."""
    told = await bench.call(run_python, code="x = 1\ndef f(:\n")
    assert told.startswith('  File "<code>", line 2\n    def f(:\n')
    assert "SyntaxError" in told


async def test_an_exit_code_is_passed_on(bench: Bench) -> None:
    """As from any program."""
    assert "[exit code 7 after" in await bench.call(run_python, code="raise SystemExit(7)")


async def test_a_program_may_use_processes_and_pickle(bench: Bench) -> None:
    """Its functions and classes are found where it says they are."""
    code = (
        "import pickle\nfrom concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "class Box:\n    pass\ndef twice(x):\n    return 2 * x\n"
        "if __name__ == '__main__':\n"
        "    with ProcessPoolExecutor(1, get_context('fork')) as pool:\n"
        "        print(list(pool.map(twice, [1, 2])), type(pickle.loads(pickle.dumps(Box()))))\n"
    )
    told = await bench.call(run_python, code=code)
    assert told.startswith(f"[2, 4] <class '__main__.Box'>\n{END}")


async def test_output_before_a_time_out_is_kept(bench: Bench) -> None:
    """It is not lost in a buffer."""
    code = "import time\nprint('begun')\ntime.sleep(60)"
    assert (await bench.refusal(run_python, code=code, seconds=3)).startswith("begun\n[timed out")


async def test_a_large_program_runs(bench: Bench) -> None:
    """It is no argument."""
    code = f"text = {'x' * 300_000!r}\nprint(len(text))"
    assert (await bench.call(run_python, code=code)).startswith(f"300000\n{END}")
