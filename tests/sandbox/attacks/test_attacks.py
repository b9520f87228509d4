"""Commands that attack: what each gets, and that the host and the next step are unharmed."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.sandbox.attacks.endings import ENDINGS
from tests.sandbox.attacks.escapes import ESCAPES
from tests.sandbox.attacks.exhaustion import EXHAUSTION
from tests.sandbox.attacks.network import NETWORK
from tests.sandbox.attacks.output import OUTPUT
from tests.sandbox.attacks.probe import KINDS, Probe
from tests.sandbox.attacks.target import Target

PROBES = [*EXHAUSTION, *ENDINGS, *ESCAPES, *NETWORK, *OUTPUT]


def _cases() -> Iterator[object]:
    for kind in KINDS:
        for probe in PROBES:
            if kind in probe.kinds:
                # They slow down whatever runs beside them.
                marks = [pytest.mark.slow] if probe in EXHAUSTION else []
                yield pytest.param(kind, probe, id=f"{kind}-{probe.name}", marks=marks)


@pytest.mark.parametrize(("opened", "probe"), list(_cases()), indirect=["opened"], scope="session")
async def test_an_attack_gets_its_answer_and_harms_nothing(target: Target, probe: Probe) -> None:
    """The tables say what must come back; the fixture looks at the host and the next step."""
    async with asyncio.timeout(probe.seconds):
        outcome = await target.run(probe.command)
    probe.check(outcome)
