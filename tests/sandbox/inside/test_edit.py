"""Edits: made only of the file that they were planned on."""

from pathlib import Path
from typing import Any

from perdure.sandbox.inside.edit import edit_file, plan_edit

EDIT: dict[str, Any] = {"path": "a", "old": "one", "new": "1", "replace_all": False}


def test_a_planned_edit_is_made(tmp_path: Path) -> None:
    """The plan's digests are those of the file before and after."""
    (tmp_path / "a").write_text("one two")
    plan = plan_edit(tmp_path, **EDIT)
    assert (tmp_path / "a").read_text() == "one two"
    done = edit_file(tmp_path, **EDIT, before=plan["before"], key="key")
    assert done == plan | {"made": True}
    assert (tmp_path / "a").read_text() == "1 two"
    assert plan_edit(tmp_path, **EDIT)["before"] == plan["after"]


def test_an_edit_of_a_file_that_has_changed_is_not_made(tmp_path: Path) -> None:
    """What it would do to the file as it is now is told instead."""
    (tmp_path / "a").write_text("one two")
    before = plan_edit(tmp_path, **EDIT)["before"]
    (tmp_path / "a").write_text("one two three")
    told = edit_file(tmp_path, **EDIT, before=before, key="key")
    assert told == plan_edit(tmp_path, **EDIT) | {"made": False}
    assert (tmp_path / "a").read_text() == "one two three"


def test_an_edit_with_a_problem_has_no_digest_after(tmp_path: Path) -> None:
    """Nor is it made."""
    (tmp_path / "a").write_text("one one")
    plan = plan_edit(tmp_path, **EDIT)
    assert plan["after"] is None
    assert plan["count"] == 2
    assert "occurs 2 times" in plan["problem"]
    assert not edit_file(tmp_path, **EDIT, before=plan["before"], key="key")["made"]
