"""What a person sees."""

import json

import pytest

from perdure.console.display import clean, preview, print_json, results, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("bell\x07", r"bell\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("over\rwritten", r"over\x0dwritten"),
        ("abc\u202edcba", r"abc\x202edcba"),
        ("two\r\nlines\tand a tab", "two\nlines\tand a tab"),
        ("Grüße, 世界", "Grüße, 世界"),
    ],
)
def test_what_could_control_a_terminal_is_made_visible(text: str, shown: str) -> None:
    """A model's words never move the cursor, ring the bell or turn the writing round."""
    assert clean(text) == shown


def test_a_preview_is_one_line() -> None:
    """Line breaks become spaces, and a long text ends in an ellipsis."""
    assert preview("one\n  two") == "one two"
    assert preview("x" * 300, 10) == "x" * 9 + "…"


def test_json_is_safe_on_a_terminal_and_still_says_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Control characters are escaped; a program reads back what was stored."""
    data = {"answer": "\x1b[31m \x9b \u202e ü\n"}
    print_json(data)
    printed = capsys.readouterr().out
    assert not {"\x1b", "\x9b", "\u202e"} & set(printed)
    assert json.loads(printed) == data


def test_a_cell_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets in a task are no markup."""
    results().print(table(["task"], [["[red]stop[/red]"]]))
    assert "[red]stop[/red]" in capsys.readouterr().out
