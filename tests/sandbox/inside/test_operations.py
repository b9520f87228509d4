"""The operations: what a sandbox is asked by name, with plain JSON and bytes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perdure.sandbox.inside import operations
from perdure.sandbox.inside.operations import OPERATIONS, Refused

EDIT: dict[str, Any] = {"path": "a", "old": "one", "new": "two", "replace_all": False}
REQUESTS: dict[str, dict[str, Any]] = {
    "read_file": {"path": "a", "offset": 1, "limit": 500},
    "read_bytes": {"path": "a", "limit": 100},
    "tail_file": {"path": "a", "lines": 10},
    "list_files": {"path": ".", "pattern": "*", "depth": 3},
    "search_files": {"path": ".", "pattern": "one", "glob": "*"},
    "write_file": {"path": "b", "key": "key"},
    "plan_edit": EDIT,
    "edit_file": EDIT | {"before": "another", "key": "key"},
    "restore": {"make": {"c": ["d", 0o755]}},
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_takes_and_gives_plain_json(tmp_path: Path, name: str) -> None:
    """It goes through a pipe or a socket."""
    (tmp_path / "a").write_text("one\n")
    arguments = json.loads(json.dumps(REQUESTS[name]))
    value, data = OPERATIONS[name](tmp_path, arguments, b"data" if name == "write_file" else b"")
    assert json.loads(json.dumps(value)) == value
    assert isinstance(data, bytes)


def test_data_goes_in_and_out(tmp_path: Path) -> None:
    """Beside the JSON."""
    write, read = {"path": "b", "key": "key"}, {"path": "b", "limit": 9}
    assert OPERATIONS["write_file"](tmp_path, write, b"\0\xff") == (None, b"")
    assert OPERATIONS["read_bytes"](tmp_path, read, b"") == (None, b"\0\xff")


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "restore"])
def test_no_operation_leaves_the_workspace(tmp_path: Path, name: str) -> None:
    """Those that tools use are given the model's own paths."""
    with pytest.raises(Refused, match="contains '..'"):
        OPERATIONS[name](tmp_path, REQUESTS[name] | {"path": "../a"}, b"")


def test_the_operations_need_only_the_standard_library() -> None:
    """They are shipped into containers, as a package that is called `inside`."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from inside.operations import OPERATIONS;"
        "print(len(OPERATIONS))"
    )
    folder = str(Path(operations.__file__).parents[1])
    arguments = [sys.executable, "-ISE", "-W", "error", "-c", program, folder]
    answer = subprocess.run(arguments, capture_output=True, check=True)
    assert int(answer.stdout) == len(OPERATIONS)
