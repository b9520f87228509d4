"""How the store keeps what is long: the changes of a checkpoint, and pieces of contents."""

import json
import zlib

from perdure.sandbox.inside.index import Changes
from perdure.sandbox.inside.pieces import digest
from perdure.store.tables import Piece


def pack(changes: Changes) -> bytes:
    return zlib.compress(json.dumps(changes, separators=(",", ":")).encode())


def unpack(packed: bytes) -> Changes:
    changes: Changes = json.loads(zlib.decompress(packed))
    return changes


def piece(content: bytes) -> Piece:
    """The row that keeps this content."""
    packed = zlib.compress(content, 1)
    data = packed if len(packed) < len(content) else content
    return Piece(id=digest(content), data=data, size=len(content))


def content(piece: Piece) -> bytes:
    return zlib.decompress(piece.data) if len(piece.data) < piece.size else piece.data
