"""Running one command for one tool call: once, or with an honest word that nobody knows."""

from perdure.errors import OutcomeUnknown
from perdure.sandbox.sandbox import Command, Outcome
from perdure.store.tables import now
from perdure.tools.tool import ToolContext


async def execute(context: ToolContext, command: Command) -> Outcome:
    """Carry out the one command of this call, whichever attempt this is.

    Raises:
        OutcomeUnknown: an earlier attempt began it in a sandbox that has been lost since.
    """
    sandbox = context.sandbox
    earlier = await context.begin({"incarnation": sandbox.incarnation, "at": now().isoformat()})
    if earlier is None or earlier["incarnation"] == sandbox.incarnation:
        outcome = await sandbox.run(context.key, command, context.show)
    else:
        outcome = await sandbox.recall(context.key, command, context.show)
    if outcome.state == "done":
        return outcome
    printed = (outcome.head + outcome.tail).decode(errors="backslashreplace")
    raise OutcomeUnknown(
        "The outcome is unknown: the sandbox was lost while the command ran, or before it could"
        " begin. It was not repeated. Look whether it took effect before you try again."
        + (f"\nUntil then it had printed:\n{printed}" if printed else "")
    )
