"""What a scan finds, what restoring brings back, and what neither of them is misled by."""

import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from perdure.sandbox.inside.changes import Delta, Index, Indexes, apply, identity, pieces, scan
from perdure.sandbox.inside.index import Changes, Entries
from perdure.sandbox.inside.pieces import PIECE, digest
from perdure.sandbox.inside.restore import restore

NOBODY = 65534
SETTLED = 200_000_000
"""Nanoseconds after which a file's time says that it has not changed since."""


def look(root: Path, index: Index) -> tuple[Index, Changes]:
    """Scan as a child process would: what it found goes through JSON."""
    delta: Delta = json.loads(json.dumps(scan(root, index)))
    return apply(index, delta), delta["changes"]


def settled(root: Path) -> Index:
    """The index of a folder in which nothing was changed in this very moment."""
    found, _ = look(root, Index())
    return Index(found.id, found.entries, found.stats, found.time + SETTLED)


def write_back(source: Path, entries: Entries, target: Path) -> None:
    """Restore the entries in a folder, with contents from another."""
    target.mkdir(exist_ok=True)
    paths = sorted(entries)
    files = [path for path in paths if entries[path][0] == "f"]
    wanted = [
        (path, offset, min(PIECE, entries[path][3] - offset))
        for path in files
        for offset in range(0, entries[path][3], PIECE)
    ]
    make = {"make": {path: entries[path] for path in paths}, "write": wanted}
    restore(target, make, pieces(source, wanted))
    restore(target, {"settle": {path: entries[path] for path in reversed(paths)}}, b"")


@contextmanager
def unprivileged(*places: Path) -> Iterator[None]:
    """As the user that owns the places; without it nothing is unreadable for root."""
    if os.geteuid() != 0:
        yield
        return
    for place in places:
        os.chown(place, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def ground() -> Iterator[Path]:
    """A folder that another user gets to as well, unlike those that pytest makes."""
    with TemporaryDirectory() as folder:
        ground = Path(folder)
        ground.chmod(0o755)
        yield ground


@pytest.fixture
def root(ground: Path) -> Path:
    root = ground / "workspace"
    root.mkdir()
    return root


def test_everything_is_new_in_the_empty_state(root: Path) -> None:
    """Each kind has an entry of its own; the root has none."""
    (root / "folder/empty").mkdir(parents=True)
    (root / "folder/file").write_bytes(b"hello")
    (root / "folder/file").chmod(0o754)
    os.utime(root / "folder/file", ns=(1, 1234567890123456789))
    (root / "link").symlink_to("no/such/place")
    _, changes = look(root, Index())
    assert changes == {
        "folder": ["d", stat.S_IMODE((root / "folder").stat().st_mode)],
        "folder/empty": ["d", stat.S_IMODE((root / "folder/empty").stat().st_mode)],
        "folder/file": ["f", 0o754, 1234567890123456789, 5, [digest(b"hello")]],
        "link": ["l", "no/such/place"],
    }


def test_an_unchanged_folder_keeps_its_identity(root: Path) -> None:
    """Nothing is read again, and nothing has changed."""
    (root / "file").write_text("x")
    index = settled(root)
    delta = scan(root, index)
    assert (delta["changes"], delta["stats"], delta["notes"]) == ({}, {}, [])
    assert apply(index, delta).id == index.id


def test_an_empty_folder_has_an_identity(root: Path) -> None:
    """The same each time, so that there is something to compare with."""
    assert look(root, Index())[0].id == look(root, Index())[0].id == identity(None, {})


def _append(root: Path) -> None:
    with (root / "file").open("a") as file:
        file.write("more")


def _replace(root: Path) -> None:
    (root / "file").unlink()
    (root / "file").mkdir()


def _link(root: Path) -> None:
    (root / "file").unlink()
    (root / "file").symlink_to("other")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_append, {"file"}),
        (_replace, {"file"}),
        (_link, {"file"}),
        (lambda root: (root / "file").write_text("AAAA"), {"file"}),
        (lambda root: (root / "file").chmod(0o600), {"file"}),
        (lambda root: (root / "file").unlink(), {"file"}),
        (lambda root: (root / "file").rename(root / "new"), {"file", "new"}),
        (lambda root: (root / "folder").chmod(0o500), {"folder"}),
        (lambda root: (root / "folder").rename(root / "moved"), {"folder", "folder/x"}),
        (lambda root: (root / "new").mkdir(), {"new"}),
    ],
)
def test_a_change_is_found(root: Path, change: Callable[[Path], None], found: set[str]) -> None:
    """And nothing beside it."""
    (root / "file").write_text("aaaa")
    (root / "folder").mkdir()
    (root / "folder/x").write_text("x")
    (root / "beside").write_text("y")
    index = settled(root)
    change(root)
    changes = look(root, index)[1]
    assert {path for path in changes if not path.startswith("moved")} == found


def test_what_was_only_touched_has_not_changed(root: Path) -> None:
    """Its time alone is no reason for a checkpoint."""
    (root / "file").write_text("x")
    index = settled(root)
    os.utime(root / "file", ns=(5, 5))
    assert look(root, index)[1] == {}


def test_a_change_in_the_moment_of_the_scan_is_found(root: Path) -> None:
    """Even where size and times are those that the scan saw: such a file is read again."""
    (root / "file").write_text("aaaa")
    index, _ = look(root, Index())
    (root / "file").write_text("bbbb")
    seen = (root / "file").stat()
    forged = [seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, seen.st_mode]
    _, changes = look(root, Index(index.id, index.entries, {"file": forged}, index.time))
    assert changes["file"] is not None
    assert changes["file"][4] == [digest(b"bbbb")]


def test_a_forged_time_hides_no_change(root: Path) -> None:
    """A program can set a file's time, and not the time of that."""
    (root / "file").write_text("aaaa")
    before = (root / "file").stat().st_mtime_ns
    index = settled(root)
    (root / "file").write_text("bbbb")
    os.utime(root / "file", ns=(before, before))
    assert set(look(root, index)[1]) == {"file"}


def test_what_is_no_file_is_left_out(root: Path) -> None:
    """Pipes and sockets are neither read nor waited for."""
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
    assert look(root, Index())[1] == {}


def test_a_link_is_never_followed(root: Path, ground: Path) -> None:
    """What is outside stays outside, whichever way the link is asked for."""
    (ground / "secret").mkdir()
    (ground / "secret/key").write_text("secret")
    (root / "folder").symlink_to(ground / "secret")
    (root / "file").symlink_to(ground / "secret/key")
    assert set(look(root, Index())[1]) == {"folder", "file"}
    wanted = [("folder/key", 0, 6), ("file", 0, 6)]
    assert pieces(root, wanted) == bytes(12)
    with pytest.raises(ValueError, match="no path below"):
        pieces(root, [("../secret/key", 0, 6)])


def test_names_of_any_bytes_come_back(root: Path, ground: Path) -> None:
    """A name need not be UTF-8, nor printable."""
    names = [b"\xff\xfe", b"line\nbreak", "Grüße".encode(), b"\x1b[2J", b" "]
    for name in names:
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(name)
    index, _ = look(root, Index())
    write_back(root, index.entries, ground / "copy")
    assert {os.fsencode(path.name) for path in (ground / "copy").iterdir()} == set(names)


def test_what_its_owner_may_not_read_is_read(root: Path) -> None:
    """Its mode is lifted for the moment and comes back, for files and for folders."""
    (root / "folder").mkdir()
    (root / "folder/file").write_text("hidden")
    places = [root / "folder/file", root / "folder", root]
    with unprivileged(*places):
        for place in places:
            place.chmod(0)
        index, changes = look(root, Index())
        assert changes == {
            "folder": ["d", 0],
            "folder/file": ["f", 0, changes["folder/file"][2], 6, [digest(b"hidden")]],  # type: ignore[index]
        }
        assert pieces(root, [("folder/file", 0, 6)]) == b"hidden"
        assert look(root, index)[1] == {}
        for place in reversed(places):
            assert stat.S_IMODE(place.stat().st_mode) == 0
            place.chmod(0o700)


def test_what_cannot_be_read_stays_as_it_was_known(root: Path) -> None:
    """Somebody else's file is noted, and is no reason to fail."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a file that it cannot read as another user")
    (root / "folder").mkdir()
    (root / "folder/file").write_text("x")
    (root / "file").write_text("x")
    index = settled(root)
    (root / "folder").chmod(0o700)
    (root / "file").write_text("changed")
    (root / "file").chmod(0o600)
    with unprivileged(root):
        delta = scan(root, index)
    assert delta["changes"] == {"folder": ["d", 0o700]}
    assert {path for path, _ in delta["notes"]} == {"folder", "file"}


def test_a_hole_of_a_terabyte_does_not_wedge_us(root: Path) -> None:
    """It is left out, with a note."""
    with (root / "huge").open("wb") as file:
        file.truncate(2**40)
    (root / "small").write_text("x")
    delta = scan(root, Index())
    assert set(delta["changes"]) == {"small"}
    assert "1,099,511,627,776 bytes" in delta["notes"][0][1]


def test_many_holes_are_not_read(root: Path, ground: Path) -> None:
    """A gigabyte of nothing costs no time, and no disk when it is restored."""
    with (root / "hole").open("wb") as file:
        file.truncate(PIECE * 64)
        file.seek(PIECE * 3)
        file.write(b"data")
    index, _ = look(root, Index())
    assert len(set(index.entries["hole"][4])) == 2
    write_back(root, index.entries, ground / "copy")
    copy = ground / "copy/hole"
    assert copy.stat().st_size == PIECE * 64
    assert copy.stat().st_blocks * 512 < PIECE / 10
    assert look(ground / "copy", Index())[0].entries["hole"][4] == index.entries["hole"][4]


def test_beyond_the_bound_of_all_files_together_nothing_is_read(root: Path) -> None:
    """Which files that are is the same each time."""
    for name in "abc":
        (root / name).write_bytes(bytes(100))
    delta = scan(root, Index(), most=250)
    assert set(delta["changes"]) == {"a", "b"}
    assert delta["notes"] == [["c", "all files together are more than 250 bytes"]]


def test_a_deep_folder_does_not_wedge_us(root: Path) -> None:
    """Neither the stack nor the open files run out."""
    descriptor = os.open(root, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("deeper", dir_fd=descriptor)
        below = os.open("deeper", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    delta = scan(root, Index())
    assert 100 < len(delta["changes"]) < 300
    assert delta["notes"][0][1] == "what is in it is too deep"


def test_private_folders_are_left_out(root: Path) -> None:
    """They are known by what they are, whatever the way to them."""
    (root / "a/private").mkdir(parents=True)
    (root / "a/private/key").write_text("x")
    status = (root / "a/private").stat()
    delta = scan(root, Index(), private={(status.st_dev, status.st_ino)})
    assert set(delta["changes"]) == {"a"}


def test_a_folder_that_is_being_changed_can_be_scanned(root: Path) -> None:
    """Files that vanish, and links that take their place, break nothing."""
    ends = threading.Event()

    def churn() -> None:
        while not ends.is_set():
            for name in ("a", "b", "c"):
                (root / name).mkdir()
                (root / name / "file").write_text(name)
                (root / name / "file").unlink()
                (root / name).rmdir()
                (root / name).symlink_to("/etc")
                (root / name).unlink()

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        index = Index()
        for _ in range(300):
            index, _ = look(root, index)
            assert all(path.split("/")[0] in {"a", "b", "c"} for path in index.entries)
            pieces(root, [("a/file", 0, 1), ("b/passwd", 0, 10)])
    finally:
        ends.set()
        churning.join()
    assert look(root, index)[0].entries == {}


def test_a_file_that_has_become_shorter_gives_zeros(root: Path) -> None:
    """The pieces after it stay in their places."""
    (root / "a").write_text("12")
    (root / "b").write_text("3456")
    assert pieces(root, [("a", 0, 4), ("gone", 0, 1), ("b", 2, 2)]) == b"12\0\0\0" + b"56"


def test_all_comes_back_as_it_was(root: Path, ground: Path) -> None:
    """Permissions, times, links, empty folders and large files; read-only folders too."""
    (root / "empty").mkdir()
    (root / "closed/inner").mkdir(parents=True)
    (root / "closed/inner/file").write_bytes(os.urandom(PIECE + 17))
    (root / "closed/inner/file").chmod(0o4751)
    (root / "closed/secret").write_text("x")
    (root / "closed/dangling").symlink_to("/no/such")
    (root / "script").write_text("#!/bin/sh\n")
    (root / "script").chmod(0o555)
    os.utime(root / "script", ns=(1, 999_999_999_123))
    (root / "none").write_bytes(b"")
    copy = ground / "copy"
    copy.mkdir()
    inner = [root / name for name in ("closed/inner/file", "closed/secret", "closed/inner")]
    with unprivileged(*inner, root / "closed", root / "script", root / "none", root, copy):
        (root / "closed/secret").chmod(0)
        (root / "closed/inner").chmod(0o500)
        (root / "closed").chmod(0)
        entries = look(root, Index())[0].entries
        write_back(root, entries, copy)
        assert look(copy, Index())[0].entries == entries
        write_back(root, entries, copy)  # an attempt after one that was killed
        assert look(copy, Index())[0].entries == entries
        for place in (root, copy):
            (place / "closed").chmod(0o700)
            (place / "closed/inner").chmod(0o700)


def test_restoring_follows_no_link(root: Path, ground: Path) -> None:
    """Not where a file goes, and not on the way there."""
    (ground / "outside").mkdir()
    (ground / "outside/file").write_text("untouched")
    (root / "folder").symlink_to(ground / "outside")
    (root / "file").symlink_to(ground / "outside/file")
    file = ["f", 0o600, 0, 1, [digest(b"x")]]
    with pytest.raises(OSError, match="folder"):
        restore(root, {"make": {"folder/file": file}}, b"")
    with pytest.raises(OSError, match="file"):
        restore(root, {"write": [["file", 0, 1]]}, b"x")
    with pytest.raises(ValueError, match="no path below"):
        restore(root, {"make": {"../outside/new": file}}, b"")
    restore(root, {"make": {"file": file}, "write": [["file", 0, 1]]}, b"x")
    assert (root / "file").read_text() == "x"
    assert not (root / "file").is_symlink()
    assert (ground / "outside/file").read_text() == "untouched"
    assert [path.name for path in (ground / "outside").iterdir()] == ["file"]


def test_an_adopted_state_is_compared_by_content(root: Path) -> None:
    """Whoever starts anew reads all files once and finds what differs."""
    (root / "same").write_text("same")
    (root / "other").write_text("before")
    first = look(root, Index())[0]
    indexes = Indexes()
    indexes.adopt(str(first.id), first.entries)
    (root / "other").write_text("after")
    adopted = indexes.find(first.id)
    assert adopted is not None
    delta = scan(root, adopted)
    assert set(delta["changes"]) == {"other"}
    assert indexes.advance(adopted, delta) == identity(first.id, delta["changes"])


def test_only_the_last_states_are_known() -> None:
    """The one that is asked for again and again is not forgotten; the empty one never is."""
    indexes = Indexes()
    for number in range(10):
        indexes.adopt(str(number), {})
        assert number < 1 or indexes.find("1") is not None
    assert indexes.find("5") is None
    assert indexes.find("9") is not None
    assert indexes.find(None) == Index()


def test_an_identity_is_that_of_what_changed_and_of_what() -> None:
    """Without a change it stays; the order in which changes were found does not matter."""
    one: Changes = {"a": ["d", 0o700], "b": None}
    other: Changes = {"b": None, "a": ["d", 0o700]}
    assert identity("base", {}) == "base"
    assert identity("base", one) == identity("base", other)
    assert len({identity("base", one), identity(None, one), identity("base", {"b": None})}) == 3
