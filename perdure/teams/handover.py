"""Handing files over: which of a colleague's are taken, and how they get into a workspace."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import PurePosixPath

from perdure.errors import ToolError
from perdure.sandbox.files.parts import batches
from perdure.sandbox.inside.index import Entries
from perdure.sandbox.inside.walk import CLOSED
from perdure.sandbox.sandbox import Sandbox
from perdure.store.files import Files
from perdure.teams.overview import count

MOST_FILES = 1000
MOST_BYTES = 32 * 2**20
"""Of all files that are taken at once."""
_NAMED = 20
_PERMISSIONS = 0o777


class Handover:
    """Of the regular files in `state` that `paths` name, or of all."""

    def __init__(self, state: Entries, paths: Sequence[str] | None, folder: str | None) -> None:
        """`paths` are files and folders; `folder` is where they are put in the own workspace.

        Raises:
            ToolError: a path is not there, or they are too many or too large.
        """
        self._folder = PurePosixPath(folder or ".")
        wanted = [PurePosixPath(path) for path in paths or ["."]]
        self._left_out: set[str] = set()
        self.files: Entries = {}
        for each in wanted:
            self._choose(state, each)
        self.size = sum(entry[3] for entry in self.files.values())
        if len(self.files) > MOST_FILES or self.size > MOST_BYTES:
            raise ToolError(
                f"These are {len(self.files):,} files of {self.size:,} bytes; at most"
                f" {MOST_FILES:,} files of {MOST_BYTES:,} bytes are taken at once. Name some of"
                " them in `paths`."
            )

    def _choose(self, state: Entries, wanted: PurePosixPath) -> None:
        below = {path: state[path] for path in sorted(state) if _is_below(path, wanted)}
        if not below and wanted != PurePosixPath():
            raise ToolError(_unknown(str(wanted), state))
        for path, entry in below.items():
            inner = PurePosixPath(path).relative_to(wanted)
            if closed := CLOSED.intersection(inner.parts):
                self._left_out |= closed
            elif entry[0] == "f":
                self.files[path] = entry
            elif entry[0] == "l":
                self._left_out.add(f"{path} (a link)")

    async def write(self, files: Files, sandbox: Sandbox, key: str) -> None:
        """Copy the contents from the store; may be killed at any moment and called again."""
        for batch in batches(self.files.items(), lambda item: int(item[1][3])):
            contents = await files.contents([each for _, entry in batch for each in entry[4]])
            for path, (_, mode, _, _, digests) in batch:
                arguments = {"path": self._place(path), "key": key, "mode": mode & _PERMISSIONS}
                data = b"".join(contents[each] for each in digests)
                await sandbox.operate("write_file", arguments, data)

    def told(self, own: Entries) -> str:
        """What was taken; `own` are the files that were there before."""
        places = {self._place(path): entry for path, entry in self.files.items()}
        replaced = [path for path in places if path in own and own[path][3:] != places[path][3:]]
        if not places:
            told = ["There was no file to take."]
        else:
            taken = count(len(places), "file")
            told = [f"Took {taken} ({self.size:,} bytes): {_listed(places)}."]
        if replaced:
            told.append(f"They replace your own: {_listed(replaced)}.")
        if self._left_out:
            told.append(f"Left out: {_listed(sorted(self._left_out))}.")
        return " ".join(told)

    def _place(self, path: str) -> str:
        return str(self._folder / path)


def _is_below(path: str, wanted: PurePosixPath) -> bool:
    return PurePosixPath(path).is_relative_to(wanted)


def _unknown(path: str, state: Entries) -> str:
    close = get_close_matches(path, state, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    top = [each for each in sorted(state) if "/" not in each]
    return f"{path!r} is not among the colleague's files.{hint} At the top are: {_listed(top)}."


def _listed(paths: Collection[str]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join([*paths][:_NAMED]) + more
