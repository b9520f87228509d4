"""Messages in a team: to whom they can be sent, and that each is read once, in order, in time."""

from perdure.contracts import Ask, Delivery, Message, Parcel, Report, Spent
from perdure.testing.replies import call, calls, finish, slow
from tests.workflows.conftest import Application
from tests.workflows.teams import (
    asked,
    assign,
    group,
    run,
    spec,
    start,
    state,
    task,
    text,
    until,
    wait,
)
from workflows.agent import AgentWorkflow
from workflows.team import TeamWorkflow


async def test_a_message_to_nobody_is_answered_with_who_there_is(app: Application) -> None:
    """An unknown name, and the sender's own, are errors that say what to do."""
    sends = calls(
        call("send_message", to="worker-9", text="hi"),
        call("send_message", to="chief", text="hi"),
    )
    app.model.follow([sends, finish("ok")])
    _, state = await run(app)
    shown = text(app.model.requests[-1])
    assert "The team has no member 'worker-9'. Did you mean 'worker-2'?" in shown
    assert "chief, worker-1, worker-2" in shown
    assert "That is you" in shown
    assert state.messages == {}


async def test_a_busy_member_reads_before_its_next_think(app: Application) -> None:
    """In the order of sending, each once."""
    sends = calls(*(call("send_message", to="listener", text=f"word {n}.") for n in range(5)))
    app.model.follow(
        {
            "the goal": [
                assign(task("listen", to="listener"), task("talk", to="talker")),
                wait(),
                finish("ok"),
            ],
            "do listen": [call("linger", seconds=1.5), call("list_files"), finish("heard")],
            "do talk": [call("linger", seconds=0.3), sends, finish("said")],
        }
    )
    _, state = await run(app, spec(members=(group("listener"), group("talker"))))
    first, second, third = asked(app, "do listen")
    assert "word" not in text(first)
    words = [line for line in text(second).splitlines() if line.startswith("word")]
    assert words == [f"word {n}." for n in range(5)]
    assert [line for line in text(third).splitlines() if line.startswith("word")] == words
    assert "Message from talker." in text(second)
    assert "listener reads it before its next step." in text(asked(app, "do talk")[-1])
    assert state.messages == {"talker>listener": 5}


async def test_an_idle_member_reads_with_its_next_task(app: Application) -> None:
    """What was sent to it while it worked on nothing is not lost, and not read again."""
    app.model.follow(
        {
            "the goal": [
                call("send_message", to="worker", text="Mind the gap."),
                assign("first", task("second", "first")),
                wait(),
                finish("ok"),
            ],
            "do first": [finish("one")],
            "do second": [finish("two")],
        }
    )
    await run(app, spec(members=(group(),)))
    assert "works on nothing now" in text(asked(app, "the goal")[1])
    assert text(asked(app, "do first")[0]).count("Mind the gap.") == 1
    assert text(asked(app, "do second")[0]).count("Mind the gap.") == 1  # its memory


async def test_a_message_wakes_the_lead_that_waits(app: Application) -> None:
    """It answers, waits again, and is told how the tasks ended."""
    app.model.follow(
        {
            "the goal": [
                assign("first"),
                wait(),
                call("send_message", to="worker", text="Blue."),
                wait(),
                finish("ok"),
            ],
            "do first": [
                call("send_message", to="chief", text="Which colour?"),
                call("wait", seconds=60),
                finish("blue"),
            ],
        }
    )
    result, _ = await run(app, spec(members=(group(),)))
    assert result.answer == "ok"
    lead = asked(app, "the goal")
    assert "A message came first." in text(lead[2])
    assert "Which colour?" in text(lead[2])
    assert text(lead[4]).count("first · done · worker · blue") == 1
    assert "Blue." in text(asked(app, "do first")[-1])


async def test_what_the_user_tells_a_team_reaches_its_lead(app: Application) -> None:
    """Also while the lead waits for tasks."""
    app.model.follow(
        {
            "the goal": [
                assign("first"),
                wait(),
                call("cancel_tasks", tasks=["first"]),
                finish(""),
            ],
            "do first": [call("linger", seconds=30), finish("one")],
        }
    )
    handle = await start(app)
    await until(lambda: bool(asked(app, "do first")))
    await handle.execute_update(TeamWorkflow.tell, Message(text="Stop it."))
    result = await handle.result()
    assert result.status == "completed"
    assert "Stop it." in text(asked(app, "the goal")[2])


async def test_a_message_that_comes_when_the_lead_finishes_is_read_first(app: Application) -> None:
    """The team has accepted it, so the lead is to see it before the team ends."""
    app.model.follow([slow(0.5, finish("first")), finish("second")])
    handle = await start(app)
    await until(lambda: bool(app.model.requests))
    await handle.execute_update(TeamWorkflow.tell, Message(text="One more thing."))
    result = await handle.result()
    assert result.answer == "second"
    assert "One more thing." in text(app.model.requests[-1])


async def test_signals_that_come_twice_change_nothing(app: Application) -> None:
    """Asks, deliveries and reports are numbered, or name a run that has ended."""
    app.model.follow(
        {
            "the goal": [assign("first"), wait(), wait(), finish("ok")],
            "do first": [
                call("send_message", to="chief", text="Hello."),
                call("linger", seconds=1),
                finish("one"),
            ],
        }
    )
    handle = await start(app, spec(members=(group(),)))
    await until(lambda: len(asked(app, "do first")) == 2)
    member = f"{handle.id}.worker.1"
    turn = (await state(handle)).head or ""
    execution = (await app.client.get_workflow_handle(member).describe()).run_id
    again = Ask(
        member="worker",
        run=member,
        execution=execution,
        number=1,
        tool="send_message",
        turn=turn,
        call="c",
        arguments={"to": "chief", "text": "Hello."},
        read=0,
        spent=Spent(),
    )
    await handle.signal(TeamWorkflow.ask, again)
    await handle.signal(TeamWorkflow.ask, again.model_copy(update={"run": "gone", "number": 9}))
    await handle.signal(TeamWorkflow.ask, again.model_copy(update={"member": "x", "number": 9}))
    reply = Parcel(kind="reply", text="made up", ask=1)
    await app.client.get_workflow_handle(member).signal(
        AgentWorkflow.deliver, Delivery(first=1, parcels=(reply,))
    )
    result = await app.client.get_workflow_handle_for(AgentWorkflow.run, member).result()
    report = Report(member="worker", workflow_id=member, run=None, result=result, read=99)
    await handle.signal(TeamWorkflow.report, report)
    await handle.result()
    final = await state(handle)
    assert final.messages == {"worker>chief": 1}
    assert sum(each.runs for each in final.members) == 2
    assert "made up" not in text(asked(app, "do first")[-1])


async def test_what_a_pause_put_into_the_mail_is_no_message(app: Application) -> None:
    """A member whose run ended meanwhile begins its next one with nothing to hold it."""
    app.model.follow(
        {
            "the goal": [assign("first", task("second", "first")), wait(), finish("ok")],
            "do first": [slow(1.0, finish("one"))],
            "do second": [finish("two")],
        }
    )
    handle = await start(app, spec(members=(group(),)))
    await until(lambda: bool(asked(app, "do first")))
    await handle.execute_update(TeamWorkflow.pause)
    await handle.execute_update(TeamWorkflow.resume)
    await handle.result()
    (second,) = asked(app, "do second")
    assert all(each["content"] != "" for each in second.messages if each["role"] == "user")
