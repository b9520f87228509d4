"""What calls print while they are under way."""

from perdure.secrets import Secrets
from perdure.tools.live import TAIL, Live

KEY = "sk-0123456789abcdef"


def test_the_last_of_the_output_is_shown() -> None:
    """With how much there was in all, whatever its bytes are."""
    live = Live(Secrets({}))
    with live.showing("k", "c") as show:
        assert live.of("k") is None
        show(b"x" * 10 * TAIL)
        show(b"\xff\0end")
        seen = live.of("k")
    assert seen is not None
    assert (seen.total, len(seen.tail)) == (10 * TAIL + 5, TAIL)
    assert seen.tail.endswith(r"xx\xff\x00end")


def test_a_secret_is_shown_at_no_moment() -> None:
    """Not the rest of one either, when its beginning has gone by."""
    live = Live(Secrets({"A_KEY": KEY}))
    with live.showing("k", "c") as show:
        show(KEY.encode())
        for _ in range(TAIL + 10):
            show(b".")
            seen = live.of("k")
            assert seen is not None
            assert KEY[-4:] not in seen.tail
