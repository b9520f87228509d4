"""The model of a team in the chaos, as a process of its own: `team_model.py PLAN.json`."""

import asyncio
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from perdure.contracts import ASSIGN, WAIT_FOR_TASKS
from perdure.testing.replies import Completion, Reply, call, calls, finish, hang, say, slow, status
from perdure.testing.script import ChatRequest, Script
from perdure.testing.scripted_model import serve
from tests.crash.team_plan import GOAL, SHELL, Job, Plan

SECONDS = 0.05
"""How long each reply takes."""
_UNFINISHED = ("A message came first", "No result of this call", "[error] Not", "That was not so")
_OUT = re.compile(r"(\S+) is out: ")


def script(plan: Plan) -> Script:
    jobs = {job.key: partial(_member, plan, job) for job in (*plan.jobs, *plan.last_jobs)}
    return {GOAL: partial(_lead, plan), **jobs}


def _member(plan: Plan, job: Job, request: ChatRequest) -> Reply:
    if _is_closing(request):
        return say("So far, so good.")
    step = sum(bool(each.get("tool_calls")) for each in _replies(request, job.key))
    if request.attempt < job.refused.get(step, 0):
        return status(401)
    if request.attempt < job.silent.get(step, 0):
        return hang()
    if step >= len(job.sends):
        return slow(SECONDS, finish(job.answer))
    return slow(SECONDS, _step(plan, job, step, _name(request)))


def _step(plan: Plan, job: Job, step: int, member: str) -> Completion:
    line = job.line(step, member)
    others = (job.sends[step], *plan.members)
    to = next(each for each in others if each != member)
    wanted = [call("send_message", to=to, text=job.words(step, member))]
    if job.to == SHELL:
        wanted.append(call("execute_shell", command=f"echo '{line}' >> {plan.effects}"))
        if job.stalls == step:
            wanted.append(call("execute_shell", command="sleep 3600", seconds=1))
    else:
        wanted.append(call("write", line=line))
        if job.stalls == step:
            wanted.append(call("stall"))
    return calls(*wanted)


def _lead(plan: Plan, request: ChatRequest) -> Reply:
    if request.attempt < plan.lead_refused.get(request.place, 0):
        return status(401)
    replies = _replies(request, GOAL)
    done = [each["function"]["name"] for reply in replies for each in reply.get("tool_calls", ())]
    told = [each["content"] for each in request.messages if each["role"] == "tool"]
    assigned = done.count(ASSIGN)
    if assigned == 0:
        return _assign(plan.jobs)
    if done[-1] != WAIT_FOR_TASKS or told[-1].startswith(_UNFINISHED):
        return call(WAIT_FOR_TASKS)
    if assigned == 1:
        found = [_OUT.match(each["content"] or "") for each in request.messages]
        out = {each[1] for each in found if each}
        return _assign([job for job in plan.last_jobs if job.to not in out])
    return finish("Reached.")


def _assign(jobs: Sequence[Job]) -> Completion:
    tasks = [
        {"id": job.id, "task": job.text, "to": job.to, "depends_on": list(job.needs)}
        for job in jobs
    ]
    return call(ASSIGN, tasks=tasks)


def _is_closing(request: ChatRequest) -> bool:
    return bool(request.body.get("tool_choice") == "none")


def _replies(request: ChatRequest, key: str) -> list[dict[str, Any]]:
    """The model's own, since it was given the task."""
    messages = request.messages
    given = next(
        index
        for index, each in enumerate(messages)
        if each["role"] == "user" and key in each["content"]
    )
    return [each for each in messages[given:] if each["role"] == "assistant"]


def _name(request: ChatRequest) -> str:
    found = re.search(r"You are (\S+), a member", request.messages[0]["content"])
    assert found is not None
    return found[1]


if __name__ == "__main__":
    asyncio.run(
        serve(script(Plan.model_validate_json(Path(sys.argv[1]).read_text())), 0, keep_bodies=False)
    )
