"""An agent's run on a real Temporal server, with a scripted model on real HTTP."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError

from perdure import attributes
from perdure.contracts import TASK_QUEUE, AgentSpec, Limits, Message
from perdure.testing.replies import (
    Reply,
    big,
    call,
    calls,
    drop,
    empty,
    filtered,
    finish,
    half_json,
    hang,
    json_step,
    raw_call,
    say,
    slow,
    status,
    truncated,
)
from tests.workflows.conftest import Application, clinging
from workflows.agent import FRUITLESS_STEPS, AgentWorkflow


async def test_a_run_thinks_acts_and_finishes(app: Application) -> None:
    """The tools act in the run's own workspace, and the answer is the one of `finish`."""
    app.model.follow([call("write_file", path="a.txt", content="hello"), finish("Written.")])
    handle = await app.start()
    result = await handle.result()
    assert (result.status, result.answer, result.steps) == ("completed", "Written.", 2)
    run = await app.store.find_run(handle.id)
    assert await app.files(run.id) == {"a.txt": "hello"}
    assert not list((app.home / "sandboxes").iterdir())
    assert run.result == result.model_dump(mode="json")


async def test_an_answer_in_plain_text_ends_the_run(app: Application) -> None:
    """A reply with text and no call is the final answer."""
    app.model.follow([say("It is 42.")])
    result = await app.run()
    assert (result.status, result.answer, result.steps) == ("completed", "It is 42.", 1)


async def test_calls_of_one_reply_run_in_parallel_and_are_answered_in_order(
    app: Application,
) -> None:
    """The results stand in the order of the calls, whichever call was the first to end."""
    replies = calls(call("linger", seconds=0.3), call("fail", reason="No."), say="Both.")
    app.model.follow([replies, finish("ok")])
    await app.run()
    roles = [(message["role"], message["content"]) for message in app.shown()[-3:]]
    assert roles == [("assistant", "Both."), ("tool", "Rested."), ("tool", "[error] No.")]


@pytest.mark.parametrize(
    "fault",
    [status(429, retry_after=0.1), status(500), drop(), drop(midway=False), half_json()],
    ids=["429", "500", "dropped midway", "dropped", "half a JSON"],
)
async def test_a_passing_fault_of_the_model_is_retried(app: Application, fault: Reply) -> None:
    """Overload and broken connections cost time and nothing else."""
    app.model.follow([[fault, call("list_files")], finish("ok")])
    result = await app.run()
    assert (result.status, result.answer, result.steps) == ("completed", "ok", 2)
    assert app.model.served() == 2


@pytest.mark.parametrize(
    ("fault", "cure"),
    [
        (status(401, "Incorrect key."), "Put a valid key into OPENAI_API_KEY"),
        (status(404), "Choose another with --model"),
        (status(429, code="insufficient_quota"), "Add credit"),
        (status(400, "tools are not supported"), "tools are not supported"),
    ],
    ids=["wrong key", "unknown model", "no quota", "bad request"],
)
async def test_a_lasting_fault_of_the_model_fails_the_run_at_once(
    app: Application, fault: Reply, cure: str
) -> None:
    """The reason says what to do."""
    app.model.follow([fault])
    result = await app.run()
    assert result.status == "failed"
    assert cure in result.reason
    assert len(app.model.requests) == 1


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (call("nosuch", x=1), "Tool 'nosuch' is unknown."),
        (call("read_file", file="a"), "read_file has no argument 'file'"),
        (raw_call("read_file", '{"path'), "not valid JSON"),
        (filtered(), "content filter"),
        (truncated("and then"), "cut off"),
        (empty(), "empty"),
    ],
    ids=["unknown tool", "wrong arguments", "half arguments", "filtered", "length", "empty"],
)
async def test_a_reply_of_no_use_is_explained_to_the_model(
    app: Application, reply: Reply, told: str
) -> None:
    """The run goes on, and the model is told what was wrong."""
    app.model.follow([reply, finish("ok")])
    result = await app.run()
    assert (result.status, result.steps) == ("completed", 2)
    assert told in app.shown()[-1]["content"]


async def test_a_model_that_gets_nowhere_is_stuck(app: Application) -> None:
    """Replies of no use do not go on for ever."""
    app.model.follow([empty()] * 50)
    result = await app.run()
    assert (result.status, result.steps) == ("stuck", FRUITLESS_STEPS)
    assert "led nowhere" in result.reason


async def test_the_same_step_again_and_again_is_stuck(app: Application) -> None:
    """A call that brings the same result each time leads nowhere."""
    app.model.follow([call("list_files")] * 50)
    result = await app.run()
    assert (result.status, result.steps) == ("stuck", FRUITLESS_STEPS + 1)


async def test_different_edits_of_one_file_are_no_repetition(app: Application) -> None:
    """Steps that look alike in a preview may each do their part."""
    text = " ".join(f"w{number}" for number in range(12))
    edits = [
        call("edit_file", path="a.txt", old=f"w{number} ", new=f"v{number} ")
        for number in range(11)
    ]
    app.model.follow([call("write_file", path="a.txt", content=text), *edits, finish("ok")])
    result = await app.run()
    assert (result.status, result.steps) == ("completed", 13)


@pytest.mark.parametrize(
    "reply",
    [
        raw_call("read_file", json.dumps({"k" * 3_000_000: 1})),
        raw_call("read_file", json.dumps({f"k{number}": 1 for number in range(40_000)})),
        calls(*[finish("x" * 190_000) for _ in range(30)], call("fail", reason="No.")),
        call("write_file", path="big.txt", content="x" * 3_000_000),
    ],
    ids=["a huge name", "many names", "many endings", "a huge file"],
)
async def test_a_huge_call_does_not_wedge_the_run(app: Application, reply: Reply) -> None:
    """Whatever a model calls, what crosses the history stays small."""
    app.model.follow([reply, finish("ok")])
    handle = await app.start()
    result = await asyncio.wait_for(handle.result(), 20)
    assert (result.status, result.answer) == ("completed", "ok")


async def test_a_huge_reply_is_kept_whole_and_reported_cut(app: Application) -> None:
    """Three megabytes do not break Temporal's limits, and none is lost."""
    app.model.follow([big(3_000_000)])
    handle = await app.start()
    result = await handle.result()
    assert result.status == "completed"
    assert len(result.answer) < 70_000
    assert result.head is not None
    assert len((await app.store.path(result.head))[-1].thought) == 3_000_000


@pytest.mark.parametrize(
    ("limits", "model", "ending"),
    [
        (Limits(max_steps=2), "scripted", "out_of_steps"),
        (Limits(max_tokens=500), "scripted", "out_of_budget"),
        (Limits(max_cost_usd=0.5), "dear", "out_of_budget"),
    ],
    ids=["steps", "tokens", "cost"],
)
async def test_a_limit_ends_the_run_with_last_words(
    app: Application, limits: Limits, model: str, ending: str
) -> None:
    """One more think, which may call no tool, hands over what there is."""
    step = calls(call("list_files"), call("linger", seconds=0)).using(300, 300)
    app.model.follow([step, step, say("What I have.")][1 if limits.max_steps is None else 0 :])
    result = await app.run(limits=limits, model=model)
    assert (result.status, result.answer) == (ending, "What I have.")
    assert "limit" in result.reason
    assert app.model.requests[-1].body["tool_choice"] == "none"


async def test_time_runs_out_while_the_model_is_silent(app: Application) -> None:
    """A think that does not answer in time is given up, and the run ends in words."""
    app.model.follow([[hang(), say("In short.")]])
    result = await app.run(limits=Limits(max_minutes=0.02))
    assert (result.status, result.answer) == ("out_of_time", "In short.")


async def test_time_runs_out_while_the_model_is_busy(app: Application) -> None:
    """A retry that would come too late is not waited for, and the run ends in words."""
    app.model.follow([[status(429, retry_after=3), say("In short.")]])
    result = await app.run(limits=Limits(max_minutes=0.03))
    assert (result.status, result.answer) == ("out_of_time", "In short.")


async def test_a_cost_limit_needs_a_price(app: Application) -> None:
    """A limit that nobody can keep is refused, and not ignored."""
    result = await app.run(limits=Limits(max_cost_usd=1))
    assert result.status == "failed"
    assert "nobody knows the price of model 'scripted'" in result.reason


async def test_a_message_is_read_before_the_next_think(app: Application) -> None:
    """What is told while a tool runs stands after that tool's result."""
    app.model.follow([call("linger", seconds=0.5), finish("ok")])
    handle = await app.start()
    await _until_asked(app, 1)
    await handle.execute_update(AgentWorkflow.tell, Message(text="Hurry."))
    await handle.result()
    assert [message["content"] for message in app.shown()[-2:]] == ["Rested.", "Hurry."]


async def test_a_message_during_the_last_think_is_not_lost(app: Application) -> None:
    """The run goes on until the message has been read."""
    app.model.follow([slow(0.5, finish("first")), finish("second")])
    handle = await app.start()
    await _until_asked(app, 1)
    await handle.execute_update(AgentWorkflow.tell, Message(text="One more thing."))
    result = await handle.result()
    assert (result.answer, result.steps) == ("second", 2)
    assert app.shown()[-1]["content"] == "One more thing."


@pytest.mark.parametrize(
    "argument", [{"text": ""}, {"words": "x"}, "text", None, {"text": "x" * 40_000}]
)
async def test_a_malformed_message_is_refused(app: Application, argument: Any) -> None:
    """The sender hears of it, and the run goes on."""
    app.model.follow([slow(0.5, finish("ok"))])
    handle = await app.start()
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("tell", argument)
    assert (await handle.result()).status == "completed"


async def test_more_messages_than_the_history_can_hold_are_refused(app: Application) -> None:
    """The sender hears of it, and the run is not wedged."""
    app.model.follow([call("wait", seconds=0.01), finish("ok")])
    handle = await app.start()
    await handle.execute_update(AgentWorkflow.pause)
    message = Message(text="🙂" * 30_000)
    for _ in range(2):
        await handle.execute_update(AgentWorkflow.tell, message)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(AgentWorkflow.tell, message)
    assert "bytes of messages" in str(refused.value.cause)
    await handle.execute_update(AgentWorkflow.resume)
    assert (await handle.result()).status == "completed"


async def test_a_paused_run_waits_until_it_is_resumed(app: Application) -> None:
    """What is under way ends; the next think does not begin."""
    app.model.follow([call("linger", seconds=0.2), finish("ok")])
    handle = await app.start()
    await _until_asked(app, 1)
    await handle.execute_update(AgentWorkflow.pause)
    while (await handle.query(AgentWorkflow.status)).status != "paused":
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    assert len(app.model.requests) == 1
    await handle.execute_update(AgentWorkflow.resume)
    assert (await handle.result()).status == "completed"


@pytest.mark.parametrize(
    "reply",
    [hang(), call("linger", seconds=60), call("wait", seconds=3600)],
    ids=["in a think", "in a tool", "in a wait"],
)
async def test_a_cancelled_run_ends_with_a_result(app: Application, reply: Reply) -> None:
    """Wherever it is, it stops within seconds and says so."""
    app.model.follow([call("list_files"), reply])
    handle = await app.start()
    await _until_asked(app, 2)
    await asyncio.sleep(0.2)
    await handle.cancel()
    result = await asyncio.wait_for(handle.result(), 10)
    assert (result.status, result.steps) == ("cancelled", 1 if reply == hang() else 2)


async def test_cancel_waits_until_every_parallel_tool_has_stopped(app: Application) -> None:
    """The run has not ended while one of its tools goes on."""
    app.model.follow([calls(call("linger", seconds=60), call("cling", seconds=1.5))])
    handle = await app.start()
    await _until_asked(app, 1)
    await asyncio.sleep(0.5)
    await handle.cancel()
    assert (await handle.result()).status == "cancelled"
    assert not clinging


async def test_a_wait_ends_early_when_a_message_comes(app: Application) -> None:
    """A message wakes the agent."""
    app.model.follow([call("wait", seconds=3600, reason="the build"), finish("ok")])
    handle = await app.start()
    await _until_asked(app, 1)
    while (await handle.query(AgentWorkflow.status)).status != "waiting":
        await asyncio.sleep(0.05)
    await handle.execute_update(AgentWorkflow.tell, Message(text="It is green."))
    await handle.result()
    woken, message = app.shown()[-2:]
    assert woken["content"].startswith("A message came after")
    assert message["content"] == "It is green."


async def test_an_output_that_does_not_fit_its_schema_is_returned(app: Application) -> None:
    """Only an output that fits ends the run."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    app.model.follow(
        [say("42"), call("finish", output={"n": "x"}), call("finish", output={"n": 42})]
    )
    result = await app.run(output_schema=schema)
    assert (result.status, result.output, result.answer) == ("completed", {"n": 42}, '{"n": 42}')
    assert result.steps == 3


async def test_finish_beside_a_call_that_failed_does_not_end_the_run(app: Application) -> None:
    """The model looks at the failure first."""
    app.model.follow([calls(call("fail", reason="Broken."), finish("done")), finish("mended")])
    result = await app.run()
    assert result.answer == "mended"
    assert [message["content"] for message in app.shown()[-2:]] == [
        "[error] Broken.",
        "Not ended yet: first look at what else this step brought.",
    ]


async def test_a_model_without_tool_calls_works_in_json_steps(app: Application) -> None:
    """Thought, action and is_final in one object do the same work."""
    app.model.follow(
        [
            json_step("write_file", thought="I write.", path="b.txt", content="x"),
            json_step("finish", is_final=True, answer="Done."),
        ]
    )
    result = await app.run(model="plain")
    assert (result.status, result.answer, result.steps) == ("completed", "Done.", 2)
    assert app.shown()[-1]["content"].startswith("Result of write_file:\nWrote 1 character")


async def test_a_run_continues_another_from_its_head(app: Application) -> None:
    """The new run sees the old transcript, each of its calls paired, and then its own task."""
    app.model.follow([finish("one")])
    first = await app.run("say one")
    app.model.follow([say("two"), say("two")])
    second = await app.run("say two", head=first.head)
    assert second.status == "completed"
    roles = [message["role"] for message in app.shown()]
    assert roles == ["system", "user", "assistant", "tool", "user"]
    assert app.shown()[3]["content"] == "The run ended with this answer."


async def test_the_workspace_starts_with_a_copy_of_a_folder(
    app: Application, tmp_path: Any
) -> None:
    """The agent's changes stay in its copy."""
    (tmp_path / "note.txt").write_text("old")
    edit = call("edit_file", path="note.txt", old="old", new="new")
    app.model.follow([edit, call("read_file", path="note.txt"), finish("ok")])
    result = await app.run(workspace=str(tmp_path))
    assert result.status == "completed"
    assert app.shown()[-1]["content"].startswith("new")
    assert (tmp_path / "note.txt").read_text() == "old"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"agent": "codr"}, "Agent 'codr' is unknown."),
        ({"agent": AgentSpec(name="a", tools=("nope",))}, "Tool 'nope' is unknown."),
        ({"head": "t-" + 24 * "0"}, "is not in this store."),
        ({"workspace": "/no/such/folder"}, "/no/such/folder"),
        ({"workspace": "relative"}, "not an absolute path"),
        ({"output_schema": {"type": "nonsense"}}, "not a valid JSON Schema"),
    ],
)
async def test_a_request_that_cannot_be_met_fails_the_run(
    app: Application, fields: dict[str, Any], reason: str
) -> None:
    """The result says what was wrong, before anything is paid for."""
    result = await app.run(**fields)
    assert result.status == "failed"
    assert reason in result.reason
    assert not app.model.requests


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [None],
        ["task"],
        [{}],
        [{"task": ""}],
        [{"task": "x", "tusk": 1}],
        [{"task": " \n"}],
        [{"task": "x", "head": "t-\0"}],
        [{"task": "x", "limits": {"max_steps": 0}}],
        [{"task": "x"}, {"task": "y"}],
    ],
)
async def test_malformed_input_fails_the_workflow_at_once(
    app: Application, arguments: list[Any]
) -> None:
    """It never wedges."""
    handle = await app.client.start_workflow(
        "AgentWorkflow", args=arguments, id=f"agent-{uuid4().hex[:8]}", task_queue=TASK_QUEUE
    )
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(handle.result(), 10)
    assert "AgentRequest" in str(failure.value.cause) or "one JSON object" in str(
        failure.value.cause
    )


async def test_a_service_needs_only_plain_json(app: Application) -> None:
    """Start, tell, query and await, with the SDK's default converter and no type of ours."""
    app.model.follow([slow(0.5, finish("first")), finish("second")])
    client = await Client.connect(app.client.service_client.config.target_host)
    handle = await client.start_workflow(
        "AgentWorkflow",
        {"task": "x", "model": "scripted"},
        id=f"agent-{uuid4().hex[:8]}",
        task_queue="perdure",
    )
    await _until_asked(app, 1)
    told = await handle.execute_update("tell", {"text": "And this."})
    assert told["status"] == "running"
    assert (await handle.query("status"))["agent"] == "assistant"
    assert (await handle.result())["answer"] == "second"


async def test_curl_can_start_tell_ask_and_await(app: Application) -> None:
    """Temporal's own HTTP API takes plain JSON."""
    app.model.follow([slow(0.5, finish("first")), finish("second")])
    id = f"agent-{uuid4().hex[:8]}"
    run = f"{app.http_url}/workflows/{id}"
    async with httpx2.AsyncClient(timeout=30) as http:
        start = {
            "workflowType": {"name": "AgentWorkflow"},
            "taskQueue": {"name": "perdure"},
            "input": [{"task": "x", "model": "scripted"}],
        }
        assert (await http.post(run, json=start)).status_code == 200
        await _until_asked(app, 1)
        tell = {
            "waitPolicy": {"lifecycleStage": "UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED"},
            "request": {"meta": {"updateId": "u1"}, "input": {"args": [{"text": "And this."}]}},
        }
        told = (await http.post(f"{run}/update/tell", json=tell)).json()
        assert told["outcome"]["success"][0]["status"] == "running"
        asked = (await http.post(f"{run}/query/status", json={})).json()
        assert asked["queryResult"][0]["agent"] == "assistant"
        closing = {
            "historyEventFilterType": "HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT",
            "waitNewEvent": "true",
        }
        history = (await http.get(f"{run}/history", params=closing)).json()
    (event,) = history["history"]["events"]
    answer = event["workflowExecutionCompletedEventAttributes"]["result"][0]
    assert answer["answer"] == "second"


async def test_a_run_can_be_found_and_understood_in_the_web_ui(app: Application) -> None:
    """Search attributes, summaries of the activities, and current details in Markdown."""
    app.model.follow([call("write_file", path="a.txt", content="x"), finish("ok")])
    handle = await app.start(user="ada", conversation="c1")
    await handle.result()
    found = (await handle.describe()).typed_search_attributes
    assert found[attributes.AGENT_NAME] == "assistant"
    assert found[attributes.AGENT_STATUS] == "completed"
    assert found[attributes.AGENT_STEPS] == 2
    assert found[attributes.USER_ID] == "ada"
    assert found[attributes.CONVERSATION_ID] == "c1"
    events = (await handle.fetch_history()).events
    summaries = [
        json.loads(event.user_metadata.summary.data)
        for event in events
        if event.user_metadata.HasField("summary")
    ]
    assert summaries == [
        "open the run",
        "think: step 1",
        "open the sandbox",
        "act write_file: a.txt",
        "think: step 2",
        "close the run: completed",
        "close the sandbox",
    ]


async def test_a_reset_runs_later_steps_again_on_a_new_branch(app: Application) -> None:
    """Temporal's own reset keeps the earlier turns and appends others beside the later ones."""
    app.model.follow([call("list_files"), finish("first")])
    handle = await app.start()
    first = await handle.result()
    assert first.head is not None
    app.model.follow([call("list_files"), finish("second")])
    reset = await _reset_to_second_think(app, handle.id)
    second = await app.client.get_workflow_handle_for(
        AgentWorkflow.run, handle.id, run_id=reset
    ).result()
    assert (second.answer, second.head != first.head) == ("second", True)
    paths = [await app.store.path(head) for head in (first.head, second.head or "")]
    assert paths[0][0].id == paths[1][0].id
    assert paths[0][1].parent_id == paths[1][1].parent_id


async def test_a_dead_endpoint_is_waited_for_and_the_run_can_be_cancelled(app: Application) -> None:
    """An endpoint that is down holds the run and does not fail it."""
    handle = await app.start(model="elsewhere")
    while not (pending := (await handle.describe()).raw_description.pending_activities) or (
        pending[0].attempt < 2
    ):
        await asyncio.sleep(0.1)
    assert "cannot be reached" in pending[0].last_failure.message
    await handle.cancel()
    assert (await handle.result()).status == "cancelled"


async def _until_asked(app: Application, times: int) -> None:
    async with asyncio.timeout(20):
        while len(app.model.requests) < times:
            await asyncio.sleep(0.02)


async def _reset_to_second_think(app: Application, id: str) -> str:
    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

    handle = app.client.get_workflow_handle(id)
    completed = [
        event.event_id
        async for event in handle.fetch_history_events()
        if event.HasField("workflow_task_completed_event_attributes")
    ]
    response = await app.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=app.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=id),
            reason="test",
            request_id=uuid4().hex,
            workflow_task_finish_event_id=completed[3],
        )
    )
    return response.run_id
