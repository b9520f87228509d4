"""Text as every database and every model can carry it."""


def storable(text: str) -> str:
    """`text` without what some of them refuse, which is written out instead."""
    # PostgreSQL stores no NUL, and UTF-8 has no lone surrogates (a model's JSON and the names of
    # files may hold both).
    return text.replace("\0", "\\x00").encode(errors="backslashreplace").decode()
