"""A run of a thousand steps: it completes, and its last steps cost no more than its first."""

from pathlib import Path

import pytest

from benchmarks.growth import STRIDE, grow

STEPS = 1000
FIRST, LAST = (0, STRIDE), (STEPS - STRIDE, STEPS)


@pytest.mark.slow
async def test_a_thousand_steps_grow_linearly(tmp_path: Path) -> None:
    """History and store grow by as much a step at the end as at the beginning."""
    [run] = await grow(tmp_path, [STEPS])
    assert (run.result.status, run.result.answer) == ("completed", "done")
    assert run.result.steps == STEPS + 1
    assert run.runs > 1, "it has to continue as new"
    assert run.history_bytes(*LAST) <= 1.2 * run.history_bytes(*FIRST)
    assert run.store_bytes(*LAST) <= 1.2 * run.store_bytes(*FIRST)
