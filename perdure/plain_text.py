"""Text that is safe to hand on: what databases refuse in it, and what a reader would not see."""

import re

UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
"""Characters in which words can be hidden from a person and not from a model: control characters,
those without width, those that turn the direction of writing, and the alphabet of tags."""


def storable(text: str) -> str:
    """`text` without what some databases and models refuse, which is written out instead."""
    # PostgreSQL stores no NUL, and UTF-8 has no lone surrogates (a model's JSON and the names of
    # files may hold both).
    return text.replace("\0", "\\x00").encode(errors="backslashreplace").decode()
