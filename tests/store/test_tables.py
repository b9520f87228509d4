"""Ids, moments and texts as the tables keep them."""

import re

import pytest

from perdure.plain_text import storable
from perdure.store.tables import id_of, now


def test_an_id_follows_from_kind_and_key() -> None:
    """A retry computes the same id; another key or kind never does."""
    assert id_of("t", "run:1") == id_of("t", "run:1")
    assert re.fullmatch(r"t-[0-9a-f]{24}", id_of("t", "run:1"))
    assert len({id_of("t", "run:1"), id_of("t", "run:2"), id_of("e", "run:1")}) == 3


def test_now_is_in_utc() -> None:
    """Workers in several time zones write comparable moments."""
    assert now().tzname() == "UTC"


@pytest.mark.parametrize(
    ("text", "stored"),
    [("plain é 👩", "plain é 👩"), ("\0", "\\x00"), ("\udcff", "\\udcff"), ("", "")],
)
def test_what_cannot_be_stored_is_written_out(text: str, stored: str) -> None:
    """Storing is settled after one time: what was written out stays as it is."""
    assert storable(text) == stored == storable(stored)
