"""What this machine is called among those that share a Temporal server."""

import os
from pathlib import Path
from secrets import token_hex


def machine_of(home: Path) -> str:
    """The name that the workers of this data directory share; made when it is first asked for."""
    file = home / "machine"
    draft = home / f".machine-{token_hex(4)}"
    if not file.exists():
        home.mkdir(parents=True, exist_ok=True)
        draft.write_text(token_hex(6))
        try:
            os.link(draft, file)  # in one step: of two that begin at once the first one's stays
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return file.read_text()
