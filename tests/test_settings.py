"""What the environment says."""

from pathlib import Path

import pytest

from perdure.settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PERDURE_HOME", "PERDURE_MODEL", "DATABASE_URL", "PERDURE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_data_is_kept_under_the_current_directory_by_default(tmp_path: Path) -> None:
    """The default data directory is absolute, so a child process finds the same one."""
    assert Settings.load().home == tmp_path / ".perdure"


def test_a_relative_home_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PERDURE_HOME may be relative to the directory of the command."""
    monkeypatch.setenv("PERDURE_HOME", "data")
    assert Settings.load().home == tmp_path / "data"


def test_the_store_is_a_file_in_the_home_unless_a_database_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """DATABASE_URL replaces the SQLite file of the data directory."""
    assert Settings.load().store_url == f"sqlite:///{tmp_path}/.perdure/store.db"
    monkeypatch.setenv("DATABASE_URL", "postgresql://me@db/runs")
    assert Settings.load().store_url == "postgresql://me@db/runs"


def test_only_our_own_variables_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """HOME and PORT, which other programs set, are none of ours."""
    monkeypatch.setenv("HOME", "/elsewhere")
    monkeypatch.setenv("PORT", "80")
    settings = Settings.load()
    assert (settings.home, settings.port) == (tmp_path / ".perdure", None)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """`PERDURE_PORT=` in a shell or a compose file means no wish."""
    monkeypatch.setenv("PERDURE_PORT", "")
    assert Settings.load().port is None


@pytest.mark.parametrize("value", ["many", "0", "70000"])
def test_a_port_that_is_none_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """The error names the variable, its value and the cure."""
    monkeypatch.setenv("PERDURE_PORT", value)
    with pytest.raises(SettingsError, match=f"PERDURE_PORT is '{value}'.*Correct it"):
        Settings.load()
