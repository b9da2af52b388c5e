"""What the state machine has found, each as short as it gets."""

from tests.properties.stage import Stage

WORD = {"choices": [{"index": 0, "delta": {"content": "word "}}]}
USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}


def test_what_was_said_before_a_cancel_is_kept_by_a_worker_that_drains(stage: Stage) -> None:
    """[RUN-3]: the client has read it; a release that is refused must not cost the cancelled run its message."""
    stage.reset()
    thread_id = stage.run(stage.create_thread())
    run_id = stage.run(stage.create_run(thread_id, "reject"))["id"]
    job = stage.run(stage.answer(run_id, stage.new_worker("A")))
    assert job is not None
    stage.run(stage.say(job, WORD))
    stage.run(stage.cancel(thread_id, run_id))

    stage.run(stage.leave([job]))

    (run,), broken = stage.run(stage.look())
    assert (run["status"], run["messages"], run["steps"]) == ("cancelled", 1, 1)
    assert broken == []


def test_tokens_that_were_counted_before_a_cancel_are_the_run_s_too(stage: Stage) -> None:
    """[RUN-3]: the step has them."""
    stage.reset()
    thread_id = stage.run(stage.create_thread())
    run_id = stage.run(stage.create_run(thread_id, "reject"))["id"]
    job = stage.run(stage.answer(run_id, stage.new_worker("A")))
    assert job is not None
    stage.run(stage.say(job, WORD, USAGE))
    stage.run(stage.cancel(thread_id, run_id))

    stage.run(stage.hear_cancel(job))

    (run,), broken = stage.run(stage.look())
    assert (run["status"], run["tokens"]) == ("cancelled", 5)
    assert broken == []
