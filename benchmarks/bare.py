"""The bare workflow that ours is compared with; `python -m benchmarks.bare ADDRESS` hosts it."""

import asyncio
import sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.worker import Worker

BARE_QUEUE = "bare"


@activity.defn
async def nothing(text: str) -> str:
    return text


@workflow.defn
class Bare:
    """What Temporal itself costs: two remote activities a step, and nothing else."""

    @workflow.run
    async def run(self, steps: int) -> None:
        for _ in range(2 * steps):
            await workflow.execute_activity(
                nothing, "x" * 100, start_to_close_timeout=timedelta(minutes=1)
            )


async def main(address: str) -> None:
    from perdure.connection import connect

    client = await connect(address)
    print("ready", flush=True)
    async with Worker(client, task_queue=BARE_QUEUE, workflows=[Bare], activities=[nothing]):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
