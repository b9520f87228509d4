"""Attacks on checkpoints: by what lies in the workspace, and by what it would do elsewhere."""

import asyncio
from pathlib import Path

import pytest
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from perdure.sandbox.files.checkpoints import Checkpoints
from perdure.store.store import Store
from perdure.store.tables import Checkpoint
from tests.sandbox.attacks.canary import SECRET
from tests.sandbox.attacks.probe import python, shell
from tests.sandbox.attacks.target import Target

_HOOKS = """
    git init -q . 2> /dev/null; mkdir -p .git/hooks .git/info
    for hook in pre-commit post-checkout post-merge pre-auto-gc fsmonitor-watchman; do
        printf '#!/bin/sh\\ntouch %s/executed\\n' $CANARY_FOLDER > .git/hooks/$hook
        chmod +x .git/hooks/$hook
    done
    printf '[core]\\nfsmonitor = touch %s/executed\\n' $CANARY_FOLDER >> .git/config
    cp .git/config .gitconfig; cp .git/config $HOME/.gitconfig
    echo '* filter=evil' > .gitattributes; echo 'file' > file
"""

_STRANGE = """
    mkdir a empty a/closed; echo x > a/closed/file; echo y > unreadable; mkfifo pipe
    ln -s nowhere dangling; ln -s $CANARY_FILE secret; ln unreadable same
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
    python3 -c 'open(b"\\xff", "w").write("z")'
    chmod 4755 same; chmod 000 a/closed/file a/closed a unreadable empty .
"""

_DEEP = "[(os.mkdir('deep'), os.chdir('deep')) for _ in range(5000)]"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One database is enough for this."""
    return f"sqlite:///{tmp_path / 'store.db'}"


async def test_what_an_agent_puts_into_git_is_executed_by_no_one(
    target: Target, store: Store
) -> None:
    """Hooks and settings are files like others: recorded, and come back, and never used."""
    checkpoints = Checkpoints(store)
    await target.run(shell(_HOOKS))
    assert await checkpoints.save("r", target.shim, turn="t", key="1")
    assert ".git/hooks/pre-commit" in await checkpoints.state("r")
    await target.run(shell("find . -mindepth 1 -delete"))
    await checkpoints.restore("r", target.shim)
    said = await target.run(shell("ls .git/hooks; cat file"))
    assert b"pre-commit" in said.head and said.head.endswith(b"file\n")
    assert not list(target.canary.file.parent.glob("executed"))


async def test_what_is_closed_to_its_owner_comes_back_as_it_was(
    target: Target, store: Store
) -> None:
    """Modes of nothing, strange names, links to nowhere; pipes and sockets are left out."""
    checkpoints = Checkpoints(store)
    await target.run(shell(_STRANGE))
    assert await checkpoints.save("r", target.shim, turn="t", key="1")
    before = await checkpoints.state("r")
    assert {"pipe", "socket"}.isdisjoint(before)
    assert before["secret"] == ["l", str(target.canary.file)]
    assert before["unreadable"][3] == 2 and "a/closed/file" in before and "\udcff" in before
    await target.run(shell("chmod -R 700 . 2> /dev/null; find . -mindepth 1 -delete"))
    await checkpoints.restore("r", target.shim)
    assert await checkpoints.save("r", target.shim, turn="t", key="2") is None
    assert SECRET not in str(await _stored(store))


async def test_folders_without_end_are_recorded_as_far_as_they_can_be_used(
    target: Target, store: Store
) -> None:
    """Five thousand levels exhaust neither descriptors nor the stack."""
    await target.run(python(_DEEP))
    async with asyncio.timeout(15):
        saved = await Checkpoints(store).save("r", target.shim, turn="t", key="1")
        assert saved and saved.files > 100
        listed, _ = await target.shim.operate(
            "list_files", {"path": ".", "pattern": "*", "depth": 4}
        )
        await target.shim.operate("search_files", {"path": ".", "pattern": "x", "glob": "*"})
    assert "deep/deep/deep/deep/" in listed


async def test_files_that_never_rest_hold_no_checkpoint_up(target: Target, store: Store) -> None:
    """What is being written is left to the next one."""
    restless = python("""
        while True:
            for name in ("a", "b"):
                open(name, "w").write(str(time.time()) * 100)
            os.makedirs("d/e", exist_ok=True)
            os.rename("d", "f")
            os.rmdir("f/e")
            os.rmdir("f")
    """, seconds=10)  # fmt: skip
    async with target.during(restless), asyncio.timeout(10):
        for key in "123":
            await Checkpoints(store).save("r", target.shim, turn="t", key=key)


async def _stored(store: Store) -> list[bytes]:
    async with AsyncSession(store.engine) as session:
        return [each.changes for each in await session.exec(select(Checkpoint))]
