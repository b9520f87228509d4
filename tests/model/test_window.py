"""What part of a transcript is shown, for transcripts of any sizes."""

from hypothesis import given
from hypothesis import strategies as st

from perdure.model.window import budget, clip, first_shown

SIZES = st.lists(st.integers(0, 300), min_size=1, max_size=60)
LIMITS = st.integers(0, 500)


@given(SIZES, LIMITS)
def test_what_is_shown_fits_unless_the_last_turn_alone_does_not(
    sizes: list[int], limit: int
) -> None:
    """Older turns go until the rest fits; the newest one is always among what is left."""
    first = first_shown(sizes, limit)
    assert 0 <= first < len(sizes)
    assert sum(sizes[first:]) <= max(limit, sizes[-1])


@given(SIZES, LIMITS)
def test_what_left_once_never_comes_back(sizes: list[int], limit: int) -> None:
    """As turns are appended the beginning only moves on, or the provider's cache would be cold."""
    firsts = [first_shown(sizes[: length + 1], limit) for length in range(len(sizes))]
    assert firsts == sorted(firsts)


def test_the_beginning_stays_for_many_steps() -> None:
    """The older half goes at once: in 100 equal steps with room for 20 it moves ten times."""
    firsts = {first_shown([100] * length, 2000) for length in range(1, 101)}
    assert len(firsts) <= 10


def test_all_is_shown_that_fits() -> None:
    """Up to the limit nothing is left out."""
    assert first_shown([5, 5, 5], 15) == 0
    assert first_shown([5, 5, 6], 15) == 2


def test_the_budget_leaves_room_for_the_reply() -> None:
    """A quarter of the window is the reply's, and no window is less than empty."""
    assert budget(1000, 250) == 2000
    assert budget(100, 1000) == 0


@given(st.text(max_size=300), st.integers(0, 200))
def test_clipping_keeps_head_and_tail(text: str, limit: int) -> None:
    """What is kept and what is said to be left out add up to the whole."""
    clipped = clip(text, limit)
    if len(text) <= limit:
        assert clipped == text
        return
    note = f"\n[… {len(text) - limit:,} characters left out …]\n"
    assert len(clipped) == limit + len(note)
    assert clipped.startswith(text[: limit - limit // 3] + note)
    assert clipped.endswith(text[len(text) - limit // 3 :])
