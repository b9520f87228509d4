"""What `clean` does: the reaper's work, at once and in sight."""

from temporalio.client import Client

from perdure.console.display import print_json, results, say, table
from perdure.sandbox.reaper import reap
from perdure.sandbox.sandboxes import Sandboxes
from perdure.teams.orphans import cancel_orphans


async def clean(client: Client, sandboxes: Sandboxes, *, as_json: bool) -> int:
    """Remove the sandboxes of runs that are over, and print which they were.

    Runs whose team is over are cancelled: what they leave is for the next time.
    """
    removed = await reap(client, sandboxes, lambda _: True)
    if as_json:
        print_json(removed)
    elif removed:
        rows = [(each.kind, each.name, each.workflow_id) for each in removed]
        results().print(table(["removed", "sandbox", "run"], rows))
    for problem in sandboxes.unasked:
        say(f"Not looked at: {problem}")
    say(f"{len(removed)} removed. Sandboxes of runs that go on stay.")
    # Last: a server that forbids search attributes cannot be asked for them.
    if orphans := await cancel_orphans(client):
        say(f"Cancelled, since their team is over: {', '.join(orphans)}.")
    return 0
