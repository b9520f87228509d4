"""What part of a long transcript fits a model's context window."""

from collections.abc import Sequence

_CHARACTERS_PER_TOKEN = 3  # careful: English and code have nearer to four
_REPLY_SHARE = 0.25


def budget(window: int, overhead: int) -> int:
    """Characters of transcript that fit `window` tokens beside `overhead` characters of prompt."""
    return max(0, int(window * (1 - _REPLY_SHARE)) * _CHARACTERS_PER_TOKEN - overhead)


def first_shown(sizes: Sequence[int], limit: int) -> int:
    """Index of the first of the turns, `sizes` characters long, that is still shown.

    When they outgrow `limit`, the older half goes at once: the beginning of the prompt then
    stays the same for many steps, which keeps the provider's prompt cache warm.
    """
    first = total = 0
    for index, size in enumerate(sizes):
        total += size
        if total > limit:
            while first < index and total > limit // 2:
                total -= sizes[first]
                first += 1
    return first


def clip(text: str, limit: int) -> str:
    """Head and tail of `text`, with a note of how much is left out between them."""
    if len(text) <= limit:
        return text
    tail = limit // 3
    head = limit - tail
    left_out = len(text) - head - tail
    return f"{text[:head]}\n[… {left_out:,} characters left out …]\n{text[len(text) - tail :]}"
