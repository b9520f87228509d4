"""What models call the tools of servers."""

import re

import pytest

from perdure.tools.mcp.names import label, prefix, tool_name


def test_an_ordinary_name_stays() -> None:
    """An agent's file says `docs__search`."""
    assert tool_name("docs", "search") == "docs__search"
    assert tool_name("my-docs", "find_all-2") == "my-docs__find_all-2"


@pytest.mark.parametrize(
    ("server", "tool"),
    [
        ("docs", "a.b/c d"),
        ("docs", "x" * 200),
        ("s" * 200, "search"),
        ("my server", "search"),
        ("../../etc", "ünï😀"),
        ("", ""),
        ("\ud800", "\ud800"),
    ],
)
def test_any_other_name_is_made_to_fit(server: str, tool: str) -> None:
    """The APIs take letters, digits, _ and -, and 64 of them."""
    name = tool_name(server, tool)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)
    assert name.startswith(prefix(server))
    assert name == tool_name(server, tool), "the same on every day and every machine"


def test_names_that_look_alike_stay_apart() -> None:
    """No call may reach another tool, or another server, than the one that was meant."""
    pairs = [
        ("a", "b__c"),
        ("a__b", "c"),
        ("a_", "b"),
        ("a", "_b"),
        ("a b", "c"),
        ("a_b", "c"),
        ("a", "x.y"),
        ("a", "x/y"),
        ("a", "x_y"),
        ("a", "z" * 100),
        ("a", "z" * 101),
    ]
    assert len({tool_name(*pair) for pair in pairs}) == len(pairs)


def test_a_label_is_a_safe_name_of_a_file() -> None:
    """It comes from a file that a project brought along."""
    assert "/" not in label("../../etc/passwd")
    assert label(".") not in {"", "."}
