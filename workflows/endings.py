"""What follows when a member's run ends: its task is done, goes on, or goes to another."""

from datetime import datetime, timedelta

from perdure.contracts import AgentResult, Report, RunStatus, Spent
from perdure.teams.contracts import MemberState, Present
from perdure.teams.overview import count
from workflows import supervision
from workflows.crew import Crew

MOST_LOST = 3
"""A task over which so many members were put out is given to no other: it has failed."""
_HANDED_OVER = {
    RunStatus.COMPLETED,
    RunStatus.OUT_OF_STEPS,
    RunStatus.OUT_OF_BUDGET,
    RunStatus.OUT_OF_TIME,
    RunStatus.STUCK,
}
"""A lead that ends so has said its last words."""


def take(crew: Crew, report: Report, now: datetime) -> bool:
    """A run has ended; False if that is known already."""
    member = crew.members.get(report.member)
    if member is None or member.workflow_id != report.workflow_id or not member.is_at_work:
        return False
    result = report.result
    spent = Spent(steps=result.steps, usage=result.usage)
    crew.purse.settle(report.workflow_id, spent)
    crew.mail[member.name].ended(report.read)
    member = crew.set(
        member.name,
        standing="free",
        head=result.head or member.head,
        run=report.run,
        is_begun=member.is_begun or result.head not in {None, member.head},
        unshown=report.unshown,
        settled=member.settled + spent,
        spent=member.settled + spent,
    )
    if member.name == crew.lead:
        _lead_ended(crew, member, result, now)
    else:
        _member_ended(crew, member, report, now)
    return True


def _lead_ended(crew: Crew, member: MemberState, result: AgentResult, now: datetime) -> None:
    crew.waiting = None
    if result.status in {RunStatus.OUT_OF_STEPS, RunStatus.OUT_OF_BUDGET}:
        reason = f"The lead has used up its part of the team's budget. {result.reason}"
        crew.result = result.model_copy(update={"reason": reason})
    elif result.status in _HANDED_OVER or crew.is_ending:
        crew.result = result
    elif _has_failed(crew, member, result.reason, now).is_out:
        crew.set(member.name, standing="out")
        crew.result = result
    else:
        _again(crew, member.name, _said(result))
        _remind(crew)


def _said(result: AgentResult) -> str:
    """How a run ended and why, as a sentence that others can follow."""
    reason = result.reason.strip()
    return f"{result.status}: {reason}" + ("" if reason.endswith((".", "!", "?")) else ".")


def _remind(crew: Crew) -> None:
    """Tell the lead what replies to its earlier run may have said."""
    if crew.ledger.tasks:
        table = crew.ledger.table(crew.ledger.tasks)
        crew.tell(crew.lead, f"How the tasks stand (list_tasks gives results):\n{table}")


def _member_ended(crew: Crew, member: MemberState, report: Report, now: datetime) -> None:
    result = report.result
    if result.status == RunStatus.COMPLETED:
        crew.ledger.done(member.task, report.run, result.answer)
        crew.set(member.name, task="", then="", reason="")
    elif member.then == "drop" or crew.is_ending:
        crew.give_up(member, result.reason)
    elif member.then == "again":
        _again(crew, member.name, member.reason)
    else:
        reason = member.reason if member.then == "fail" else _said(result)
        _failed(crew, member, reason, now)


def _failed(crew: Crew, member: MemberState, reason: str, now: datetime) -> None:
    verdict = _has_failed(crew, member, reason, now)
    if verdict.is_out:
        _put_out(crew, member, reason)
    for name in verdict.restart:
        each = crew.members[name]
        if name == member.name:
            _again(crew, name, reason)
        elif each.standing == "working" and not each.then:
            crew.set(name, then="again", reason=f"{member.name} failed.")


def _has_failed(crew: Crew, member: MemberState, reason: str, now: datetime) -> supervision.Verdict:
    rules = crew.plan.supervision
    failures = supervision.recent(rules, (*member.failures, now), now)
    crew.set(member.name, failures=failures, reason=reason)
    roster = crew.roster if member.name != crew.lead else [crew.lead]
    return supervision.judge(rules, roster, member.name, failures, now)


def _again(crew: Crew, name: str, reason: str) -> None:
    restarts = crew.members[name].restarts + 1
    crew.set(name, then="again", reason=reason, restarts=restarts)


def _put_out(crew: Crew, member: MemberState, reason: str) -> None:
    """The member is given up; its task goes to another of its kind, if there is any."""
    crew.set(member.name, standing="out", task="", then="")
    task = crew.ledger.task(member.task)
    told = f"{member.name} is out: it failed too often, the last time because of this: {reason}"
    if not crew.alive(member.kind):
        crew.ledger.fail(task.id, reason, member.run)
        _fail_all_for(crew, member.kind)
        follows = f" No {member.kind} is left, so the tasks for that kind have failed."
    elif task.status.is_over:
        follows = ""
    elif len(task.lost) + 1 >= MOST_LOST:
        crew.ledger.fail(task.id, reason, member.run)
        follows = f" Task '{task.id}' has failed: it has put out {MOST_LOST} members."
    else:
        crew.ledger.put_back(task.id, member.name, member.kind)
        follows = f" Task '{task.id}' is given to another {member.kind}."
    crew.ledger.hand_on(member.name, member.kind)
    if unread := crew.mail[member.name].count:
        follows += f" It has not read {count(unread, 'message')}."
    crew.tell(crew.lead, told + follows)


def _fail_all_for(crew: Crew, kind: str) -> None:
    names = {kind, *(name for name in crew.roster if crew.members[name].kind == kind)}
    for task in crew.ledger.open:
        if task.to in names:
            crew.ledger.fail(task.id, f"no {kind} is left")


def check(crew: Crew, present: Present, now: datetime) -> Report | None:
    """What a roll call found of one run: a report in place of one that will not come."""
    member = next((m for m in crew.at_work if m.workflow_id == present.workflow_id), None)
    if member is None:
        return None
    if present.is_over and present.result is not None:
        return Report(
            member=member.name,
            workflow_id=present.workflow_id,
            run=present.run,
            result=present.result,
            read=0,  # unknown: what it has read all the same is not shown twice
        )
    crew.purse.draw(present.workflow_id, present.spent)
    is_resting = crew.is_paused or not present.silent_seconds
    member = crew.set(
        member.name,
        spent=member.settled + present.spent,
        rested=now if is_resting else member.rested,
    )
    minutes = _silence(member, present, now) / timedelta(minutes=1)
    if (
        minutes > crew.plan.supervision.silence_minutes
        and member.name != crew.lead
        and not member.then
    ):
        reason = f"it has recorded nothing for {minutes:.0f} minutes."
        crew.set(member.name, then="fail", reason=reason)
    return None


def _silence(member: MemberState, present: Present, now: datetime) -> timedelta:
    """Since it last recorded anything, or rested: its first think after that is no old silence."""
    silence = timedelta(seconds=present.silent_seconds)
    return silence if member.rested is None else min(silence, now - member.rested)
