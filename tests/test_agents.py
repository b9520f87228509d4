"""Agents in files: found by name, and refused with a sentence when they say nonsense."""

from pathlib import Path

import pytest

from perdure.agents import Agents
from perdure.contracts import Limits
from perdure.errors import UnknownAgent

CODER = """---
description: Writes code.
model: gpt-5
tools: [read_file, write_file]
limits: {max_steps: 5}
---
Write code with care.
"""


def _write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.md"
    path.write_text(text)
    return path


def test_an_agent_is_front_matter_and_instructions(tmp_path: Path) -> None:
    """The file's name is the agent's; everything else may be left out."""
    _write(tmp_path, "coder", CODER)
    _write(tmp_path, "plain", "Do it.")
    coder, plain = Agents([tmp_path]).all()
    assert (coder.name, coder.model, coder.tools) == ("coder", "gpt-5", ("read_file", "write_file"))
    assert (coder.limits, coder.instructions) == (Limits(max_steps=5), "Write code with care.")
    assert (plain.name, plain.instructions, plain.tools) == ("plain", "Do it.", None)


def test_the_later_folder_has_the_say(tmp_path: Path) -> None:
    """One's own agent takes the place of the ready-made one of that name."""
    _write(tmp_path / "ours", "coder", "Ours.")
    _write(tmp_path / "own", "coder", "Own.")
    agents = Agents([tmp_path / "ours", tmp_path / "own", tmp_path / "missing"])
    assert agents.load("coder").instructions == "Own."
    assert len(agents.all()) == 1


def test_the_ready_made_agents_are_sound() -> None:
    """Each of them can be loaded and says what it is for."""
    folder = Path(__file__).parent.parent / "agents"
    agents = Agents([folder]).all()
    assert "assistant" in {agent.name for agent in agents}
    assert all(agent.description and agent.instructions for agent in agents)


def test_an_agent_can_be_loaded_from_any_file(tmp_path: Path) -> None:
    """A name that ends in .md is a path."""
    path = _write(tmp_path, "coder", CODER)
    assert Agents([]).load(str(path)).name == "coder"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("codr", "Agent 'codr' is unknown. Did you mean 'coder'? Known agents: coder, writer."),
        ("zzz", "Agent 'zzz' is unknown. Known agents: coder, writer."),
        ("../coder", "Agent '../coder' is unknown."),
        ("", "Agent '' is unknown."),
    ],
)
def test_an_unknown_name_is_told_with_the_known_ones(
    tmp_path: Path, name: str, message: str
) -> None:
    """And with the one that was probably meant."""
    _write(tmp_path, "coder", CODER)
    _write(tmp_path, "writer", CODER)
    with pytest.raises(UnknownAgent) as caught:
        Agents([tmp_path]).load(name)
    assert str(caught.value).startswith(message)


def test_without_any_agent_the_sentence_says_so() -> None:
    """An empty installation is not a riddle."""
    with pytest.raises(UnknownAgent, match=r"Known agents: none\."):
        Agents([]).load("coder")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("---\nmodel: [a\n---\nDo.", "cannot be understood: "),
        ("---\nmodel: 'a\n---\nDo.", "cannot be understood: "),
        ("---\ntools: read_file\n---\nDo.", "says something wrong: tools: "),
        ("---\nmodle: gpt-5\n---\nDo.", "says something wrong: modle: Extra inputs"),
        ("---\n3: gpt-5\n---\nDo.", "cannot be understood: "),
        ("---\nlimits: {max_steps: 0}\n---\nDo.", "says something wrong: limits.max_steps: "),
        ("---\nname: a/b\n---\nDo.", "says something wrong: name: "),
    ],
)
def test_a_file_that_says_nonsense_is_named(tmp_path: Path, text: str, problem: str) -> None:
    """With the field and the reason, on one line."""
    path = _write(tmp_path, "bad", text)
    with pytest.raises(UnknownAgent) as caught:
        Agents([tmp_path]).load("bad")
    assert f"Agent file {path} {problem}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, a folder, or not text."""
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "bytes.md").write_bytes(b"\xff\xfe\x00")
    for path, problem in (
        (tmp_path / "none.md", "cannot be read: No such file"),
        (tmp_path / "folder.md", "cannot be read: Is a directory"),
        (tmp_path / "bytes.md", "cannot be understood: "),
    ):
        with pytest.raises(UnknownAgent) as caught:
            Agents([]).load(str(path))
        assert f"Agent file {path} {problem}" in str(caught.value)
