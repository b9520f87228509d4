"""What a model writes as arguments, and what is made of it."""

import json

import pytest

from perdure.errors import ToolError
from perdure.tools.arguments import parse


@pytest.mark.parametrize("text", ["", "  ", "null", "{}", '"{}"', '""'])
def test_nothing_is_no_arguments(text: str) -> None:
    """Models leave the arguments of a call without any out in several ways."""
    assert parse("look", text) == {}


def test_an_object_encoded_twice_is_accepted() -> None:
    """Some models quote the object once more."""
    assert parse("look", json.dumps(json.dumps({"a": 1}))) == {"a": 1}


def test_raw_line_breaks_in_strings_are_accepted() -> None:
    """Many models forget to escape them."""
    assert parse("look", '{"a": "one\ntwo"}') == {"a": "one\ntwo"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"a": ', "arguments of look are not valid JSON"),
        ("[1]", r"must be one JSON object, but they are \[1\]"),
        ('"text"', "not valid JSON"),
        ('{"a": NaN}', "NaN is not a JSON value"),
        ('{"a": 1e999}', "1e999 is out of range"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ('{"a": ' + "[" * 100_000, "nested too deeply|not valid JSON"),
        ('{"a": ' + "9" * 5000 + "}", "not valid JSON"),
    ],
)
def test_what_is_no_object_is_told_to_the_model(text: str, sentence: str) -> None:
    """The sentence says what is wrong, and stays short whatever was sent."""
    with pytest.raises(ToolError, match=sentence) as refused:
        parse("look", text)
    assert len(str(refused.value)) < 500
