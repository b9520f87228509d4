"""What a team answers to its members: the rules of its control tools."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from perdure import contracts
from perdure.contracts import Argument, Ask, Parcel, Quote
from perdure.hints import did_you_mean
from perdure.teams.contracts import TeamTask
from workflows.crew import Crew
from workflows.ledger import LedgerError
from workflows.listing import beginning, some

ENDING = "the team ends"


def answer(crew: Crew, ask: Ask, now: datetime) -> None:
    """Do what the member asks for, and put the reply into its mail.

    One that waits for tasks is replied to when they have ended.
    """
    member = crew.members.get(ask.member)
    if member is None or member.workflow_id != ask.run:
        return  # a run that has ended
    if ask.execution == member.execution and ask.number <= member.asked:
        return  # an ask that came twice; a run that was reset numbers its own anew
    crew.set(ask.member, asked=ask.number, execution=ask.execution)
    crew.mail[ask.member].read(ask.read)
    crew.purse.draw(ask.run, ask.spent)
    try:
        reply = _Answering(crew, ask, now).reply()
    except LedgerError as error:
        reply = _no(str(error))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        # From a worker of another version.
        reply = _no(f"The arguments of {ask.tool} do not fit: {error!r}.")
    if reply is not None:
        crew.mail[ask.member].put(reply.model_copy(update={"ask": ask.number}))


def answer_waiting(crew: Crew, now: datetime) -> None:
    """Reply to the lead that waits for tasks, once they have ended."""
    if crew.waiting is None:
        return
    ask, ids = crew.waiting
    if crew.ledger.are_over(ids):
        crew.waiting = None
        news = _news(crew, ids, now)
        crew.mail[crew.lead].put(news.model_copy(update={"ask": ask}))


@dataclass(frozen=True, slots=True)
class _Answering:
    """One ask. Each method is the rule of a tool: it gives the reply, or None for a later one."""

    crew: Crew
    ask: Ask
    now: datetime

    def reply(self) -> Parcel | None:
        lead, tool = self.crew.lead, self.ask.tool
        if tool != contracts.SEND_MESSAGE and self.ask.member != lead:
            return _no(f"Only {lead}, who leads the team, can call {tool}.")
        if tool not in _RULES:
            return _no(f"The team knows no tool '{tool}': its worker is older than yours.")
        return _RULES[tool](self)

    def send(self) -> Parcel:
        crew, ask, to = self.crew, self.ask, self.ask.arguments["to"]
        if problem := _undeliverable(crew, ask.member, to):
            return _no(problem)
        files = ask.arguments.get("files")
        offer = f" It offers files for take_files: {', '.join(files)}." if files else ""
        text = Argument(turn=ask.turn, call=ask.call, path=("text",))
        crew.mail[to].put(
            Parcel(
                kind="message",
                quotes=(Quote(text=text, label=f"Message from {ask.member}.{offer}"),),
                key=f"{ask.turn}:{ask.call}",
            )
        )
        crew.count_message(ask.member, to)
        if crew.members[to].standing == "working":
            return _yes(f"{to} reads it before its next step.")
        return _yes(f"{to} works on nothing now, and reads it with its next task.")

    def assign(self) -> Parcel:
        crew, ask = self.crew, self.ask
        tasks = [
            TeamTask(
                id=each["id"],
                to=each["to"],
                about=beginning(each["task"], 160),
                text=Argument(turn=ask.turn, call=ask.call, path=("tasks", place, "task")),
                depends_on=tuple(each.get("depends_on", ())),
            )
            for place, each in enumerate(ask.arguments["tasks"])
        ]
        living = [crew.members[name] for name in crew.roster]
        living = [each for each in living if each.standing != "out"]
        crew.ledger.add(tasks, {each.name for each in living} | {each.kind for each in living})
        return _yes(f"In the ledger: {some(task.id for task in tasks)}. {_budget(crew, self.now)}")

    def list(self) -> Parcel:
        crew, ledger = self.crew, self.crew.ledger
        ids = self.ask.arguments.get("tasks")
        if ids is None:
            return _yes(f"{ledger.table(ledger.tasks)}\n{_budget(crew, self.now)}")
        tasks = [ledger.task(id) for id in ids]
        ledger.told(task.id for task in tasks if task.status.is_over)
        return _yes(ledger.table(tasks), *crew.results(ids))

    def wait(self) -> Parcel | None:
        ledger = self.crew.ledger
        ids = self.ask.arguments.get("tasks") or [task.id for task in ledger.open]
        if not ids and not ledger.untold():
            return _no("No task is open: assign some, or finish.")
        self.crew.waiting = (self.ask.number, tuple(ledger.task(id).id for id in ids))
        return None

    def cancel(self) -> Parcel:
        crew, ids = self.crew, self.ask.arguments["tasks"]
        running = crew.ledger.cancel(ids, "the lead cancelled it")
        for task in running:
            if crew.members[task.member].standing == "working":
                reason = f"{crew.lead} cancelled task '{task.id}'."
                crew.set(task.member, then="drop", reason=reason)
        stopped = f" {', '.join(task.member for task in running)} will stop." if running else ""
        return _yes(f"Cancelled: {', '.join(ids)}.{stopped}")

    def finish(self) -> Parcel:
        if open_tasks := [task.id for task in self.crew.ledger.open]:
            return _no(
                f"tasks are open: {some(open_tasks)}. Call wait_for_tasks, or cancel_tasks for"
                " those that nobody needs."
            )
        if self.crew.mail[self.crew.lead].has_messages:
            return _no("a message has come that you have not read.")
        self.crew.is_ending = True
        return _yes("The team ends with your answer.")

    def hand_over(self) -> None:
        """The lead says its last words when the others have said theirs."""
        self.crew.waiting = (self.ask.number, tuple(task.id for task in self.crew.ledger.tasks))
        self.crew.ask_to_end(ENDING)


def _news(crew: Crew, ids: Iterable[str], now: datetime) -> Parcel:
    """How the tasks ended, and which ended besides since the lead was told last."""
    wanted = set(ids)
    told = [
        task
        for task in crew.ledger.tasks
        if task.status.is_over and (task.id in wanted or not task.is_told)
    ]
    fresh = [task.id for task in told if not task.is_told]
    crew.ledger.told(fresh)
    return _yes(f"{crew.ledger.table(told)}\n{_budget(crew, now)}", *crew.results(fresh))


def _budget(crew: Crew, now: datetime) -> str:
    return f"The team's budget: {crew.purse.left(now)} neither spent nor reserved."


def _undeliverable(crew: Crew, sender: str, to: str) -> str | None:
    if to not in crew.members:
        hint = did_you_mean(to, crew.members)
        return f"The team has no member '{to}'.{hint} Members: {some(crew.members)}."
    if to == sender:
        return "That is you: a message goes to another member."
    if crew.members[to].standing == "out":
        return f"{to} has been put out of the team: {crew.members[to].reason} Ask {crew.lead}."
    if crew.is_ending and crew.members[to].standing != "working":
        return f"The team ends: {to} works on nothing any more."
    return crew.has_no_room(to)


def _yes(text: str, *quotes: Quote) -> Parcel:
    return Parcel(kind="reply", text=text, quotes=quotes)


def _no(text: str) -> Parcel:
    return Parcel(kind="reply", text=text, is_ok=False)


_RULES: dict[str, Callable[[_Answering], Parcel | None]] = {
    contracts.SEND_MESSAGE: _Answering.send,
    contracts.ASSIGN: _Answering.assign,
    contracts.LIST_TASKS: _Answering.list,
    contracts.WAIT_FOR_TASKS: _Answering.wait,
    contracts.CANCEL_TASKS: _Answering.cancel,
    contracts.FINISH: _Answering.finish,
    contracts.HAND_OVER: _Answering.hand_over,
}
