"""The asyncio pool inside real Celery workers, against a real broker."""

import json
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from infra.embedded.valkey import Valkey
from tests.worker.pool_stage import Events, Stage, Worker

StartWorker = Callable[..., Worker]


def embedded_valkey() -> Iterator[Valkey]:
    with TemporaryDirectory() as state:  # pytest's own directories can't be entered by the server's account
        server = Valkey(Path(state))
        server.start()
        yield server
        server.kill()


broker = pytest.fixture(scope="module", name="broker")(embedded_valkey)
frail_broker = pytest.fixture(name="frail_broker")(embedded_valkey)
stage_server = pytest.fixture(scope="module", name="stage_server")(embedded_valkey)


@pytest.fixture(scope="module")
def stage(stage_server: Valkey) -> Iterator[Stage]:
    stage = Stage(stage_server.url)
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def worker(broker: Valkey, stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Three slots, early acks; for tests that leave it running."""
    log = tmp_path_factory.mktemp("pool") / "shared.log"
    with Worker(broker, stage, "shared", log, worker_concurrency=3) as worker:
        yield worker


@pytest.fixture(scope="module")
def events(broker: Valkey, worker: Worker) -> Iterator[Events]:
    assert worker.process.poll() is None
    events = Events(broker)
    yield events
    events.close()


@pytest.fixture
def start_worker(broker: Valkey, stage: Stage, tmp_path: Path, request: pytest.FixtureRequest) -> StartWorker:
    """A worker of the test's own, to be used in a `with` statement."""

    def start(broker: Valkey = broker, *, no_ack: bool = False, **configuration: Any) -> Worker:
        stage.forget("drain:hook", "close:hook", "began:background", "ended:background")
        three_slots = {"worker_concurrency": 3}
        name = request.node.name.replace("[", "-").replace("]", "")
        return Worker(broker, stage, name, tmp_path / "worker.log", no_ack=no_ack, **three_slots | configuration)

    return start


@pytest.mark.parametrize("no_ack", [False, True])
def test_exactly_as_many_run_as_there_are_slots(start_worker: StartWorker, stage: Stage, *, no_ack: bool) -> None:
    with start_worker(no_ack=no_ack, worker_concurrency=2) as worker:
        a, b, c, d = (f"{word}-{no_ack}" for word in "abcd")
        worker.hold(a, b, c, d)
        stage.sees("started", a, b)
        worker.until(lambda: worker.waiting() == 2, "two messages wait in the broker")
        info = worker.pool_info()
        assert info["implementation"] == "worker.pool:TaskPool"
        assert (info["max-concurrency"], info["running"], info["draining"]) == (2, 2, False)
        worker.until(lambda: worker.unacknowledged() == 0, "what runs is acknowledged")
        stage.lets_go(b)
        stage.sees("started", c)
        assert worker.waiting() == 1
        stage.lets_go(a, c, d)
        stage.sees("finished", a, b, c, d)


def test_a_coroutine_sees_the_context_of_its_signal_handlers_and_no_other(worker: Worker, stage: Stage) -> None:
    ids = {name: worker.send("look", name) for name in ("left", "right")}
    stage.lets_go("left", "right")
    for name, task_id in ids.items():
        assert json.loads(stage.sees("looked", name)) == [task_id, f"changed by {name}"]


def test_a_hard_limit_cancels(worker: Worker, stage: Stage, events: Events) -> None:
    (task_id,) = worker.hold("hard", time_limit=0.3)
    stage.sees("cleaned", "hard")
    assert "TimeLimitExceeded" in events.of(task_id, "task-failed")["traceback"]


def test_a_soft_limit_cancels_and_says_so(worker: Worker, stage: Stage, events: Events) -> None:
    (task_id,) = worker.hold("soft", soft_time_limit=0.3, time_limit=30)
    stage.sees("cleaned", "soft")
    failed = events.of(task_id, "task-failed")
    assert failed["exception"].startswith("SoftTimeLimitExceeded")
    assert "wait_for_go" in failed["traceback"]


def test_a_limit_ends_with_its_coroutine(worker: Worker, stage: Stage, events: Events) -> None:
    (quick,) = worker.hold("quick", soft_time_limit=0.2)
    stage.lets_go("quick")
    stage.sees("finished", "quick")
    (slow,) = worker.hold("slow", soft_time_limit=0.3)
    stage.sees("cleaned", "slow")
    events.of(slow, "task-failed")
    warned = [line for line in worker.log.read_text().splitlines() if "Soft time limit" in line]
    assert any(slow in line for line in warned)
    assert not any(quick in line for line in warned)


def test_a_hard_limit_interrupts_the_cleanup_after_a_soft_one(worker: Worker, stage: Stage, events: Events) -> None:
    task_id = worker.send("clean_up_for_ever", "stubborn", soft_time_limit=0.2, time_limit=0.6)
    stage.sees("cancelled", "stubborn")
    assert "TimeLimitExceeded" in events.of(task_id, "task-failed")["traceback"]


def test_termination_cancels_once_and_frees_the_slot(worker: Worker, stage: Stage, events: Events) -> None:
    (task_id,) = worker.hold("revoked")
    stage.sees("started", "revoked")
    for _ in range(3):  # Redis keeps no broadcast for those who don't listen at the moment
        if worker.app.control.revoke(task_id, terminate=True, reply=True, timeout=10, limit=1):
            break
    stage.sees("cleaned", "revoked")
    assert events.of(task_id, "task-revoked")["terminated"] is True
    assert all_slots_are_free(worker, stage)


def test_a_failure_is_published_with_its_traceback(worker: Worker, stage: Stage, events: Events) -> None:
    failed = events.of(worker.send("fail", "oh"), "task-failed")
    assert failed["exception"] == "ValueError('scripted: oh')"
    assert 'raise ValueError(f"scripted: {name}")' in failed["traceback"]
    assert all_slots_are_free(worker, stage)


@pytest.mark.parametrize(("task", "error"), [("leave", "WorkerLostError"), ("cancel_itself", "RuntimeError")])
def test_a_coroutine_that_ends_oddly_has_failed(
    worker: Worker, stage: Stage, events: Events, task: str, error: str
) -> None:
    assert events.of(worker.send(task, task), "task-failed")["exception"].startswith(error)
    assert all_slots_are_free(worker, stage)


def test_a_failing_callback_does_not_lose_the_others(worker: Worker, stage: Stage, events: Events) -> None:
    faulty = worker.send("hold_faultily", "faulty")
    good = worker.hold("good-1", "good-2")
    stage.sees("started", "faulty", "good-1", "good-2")
    stage.lets_go("faulty", "good-1", "good-2")
    stage.sees("finished", "good-1", "good-2")
    events.all_of({faulty, *good}, "task-succeeded")
    worker.logs("scripted: on_accepted fails")
    assert all_slots_are_free(worker, stage)


def test_a_warm_shutdown_lets_coroutines_finish(start_worker: StartWorker, stage: Stage) -> None:
    with start_worker(worker_concurrency=2) as worker:
        stage.sees("began", "background")
        worker.hold("warm-1", "warm-2", "warm-3")
        stage.sees("started", "warm-1", "warm-2")
        worker.signal(signal.SIGTERM)
        stage.sees("drain", "hook")
        worker.logs("scripted: a drain hook fails")
        assert not stage.has_seen("close", "hook")
        stage.lets_go("warm-1", "warm-2")
        stage.sees("finished", "warm-1", "warm-2")
        stage.sees("close", "hook")
        stage.sees("ended", "background")
        assert worker.exit_code() == 0
        worker.logs("scripted: a close hook fails")
        assert worker.waiting() == 1
        assert not stage.has_seen("started", "warm-3")


def test_what_waits_for_a_slot_can_be_revoked_and_goes_back_at_a_shutdown(
    start_worker: StartWorker, stage: Stage, events: Events
) -> None:
    with start_worker(worker_concurrency=2, worker_disable_prefetch=False) as worker:
        worker.hold("slot-1", "slot-2")
        stage.sees("started", "slot-1", "slot-2")
        revoked, kept = worker.hold("slot-3", "slot-4")
        events.all_of({revoked, kept}, "task-received")
        worker.app.control.revoke(revoked, terminate=True)
        events.of(revoked, "task-revoked")
        worker.signal(signal.SIGTERM)
        stage.sees("drain", "hook")
        stage.lets_go("slot-1", "slot-2", "slot-3", "slot-4")
        stage.sees("finished", "slot-1", "slot-2")
        assert worker.exit_code() == 0
        assert worker.waiting() == 1
        assert not stage.has_seen("started", "slot-3")
        assert not stage.has_seen("started", "slot-4")


@pytest.mark.parametrize("late", [False, True])
def test_a_warm_shutdown_cancels_at_the_deadline(start_worker: StartWorker, stage: Stage, *, late: bool) -> None:
    with start_worker(worker_drain_seconds=0.2, task_acks_late=late) as worker:
        name = f"overdue-{late}"
        worker.hold(name)
        stage.sees("started", name)
        worker.signal(signal.SIGTERM)
        stage.sees("cleaned", name)
        stage.sees("close", "hook")
        assert worker.exit_code() == 0
        assert worker.waiting() == (1 if late else 0)


@pytest.mark.parametrize("late", [False, True])
def test_a_cold_shutdown_cancels_at_once(start_worker: StartWorker, stage: Stage, *, late: bool) -> None:
    with start_worker(task_acks_late=late) as worker:
        names = [f"cold-{late}-{n}" for n in (1, 2, 3)]
        worker.hold(*names)
        stage.sees("started", *names)
        worker.signal(signal.SIGQUIT)
        stage.sees("cleaned", *names)
        stage.sees("close", "hook")
        worker.exit_code()
        assert not stage.has_seen("drain", "hook")
        assert worker.waiting() == (3 if late else 0)


def test_a_cold_shutdown_ends_a_drain(start_worker: StartWorker, stage: Stage) -> None:
    with start_worker() as worker:
        worker.hold("impatient")
        stage.sees("started", "impatient")
        worker.signal(signal.SIGTERM)
        stage.sees("drain", "hook")
        worker.signal(signal.SIGQUIT)
        stage.sees("cleaned", "impatient")
        worker.exit_code(within=timedelta(seconds=5))


def test_a_blocked_loop_does_not_hold_up_the_end(start_worker: StartWorker, stage: Stage) -> None:
    with start_worker(worker_pool="tests.worker.pool_app:HastyPool", worker_drain_seconds=0.2) as worker:
        worker.send("block_the_loop", "blocked")
        stage.sees("started", "blocked")
        worker.signal(signal.SIGTERM)
        assert worker.exit_code() == 0
        worker.logs("the event loop did not end")


def test_a_loop_that_dies_takes_the_worker_with_it(start_worker: StartWorker) -> None:
    with start_worker() as worker:
        worker.send("end_the_loop")
        assert worker.exit_code() != 0
        worker.logs("the event loop ended by itself")


def test_a_run_survives_the_restart_of_the_broker(
    start_worker: StartWorker, stage: Stage, frail_broker: Valkey
) -> None:
    with start_worker(frail_broker) as worker:
        worker.hold("survivor")
        stage.sees("started", "survivor")
        worker.until(lambda: worker.unacknowledged() == 0, "the message is acknowledged")
        frail_broker.kill()
        worker.logs("Connection to broker lost")
        stage.lets_go("survivor")
        stage.sees("finished", "survivor")
        frail_broker.start()
        worker.hold("after-1", "after-2", "after-3")
        stage.sees("started", "after-1", "after-2", "after-3")
        stage.lets_go("after-1", "after-2", "after-3")
        stage.sees("finished", "after-1", "after-2", "after-3")
        assert not stage.has_seen("started", "survivor")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGQUIT])
def test_a_worker_ends_while_its_broker_is_away(
    start_worker: StartWorker, stage: Stage, frail_broker: Valkey, how: signal.Signals
) -> None:
    with start_worker(frail_broker, worker_drain_seconds=0.5) as worker:
        worker.hold(f"away-{how}")
        stage.sees("started", f"away-{how}")
        # Celery's consumer dies of a broken connection while a message is not acknowledged: early acks leave a moment.
        worker.until(lambda: worker.unacknowledged() == 0, "the message is acknowledged")
        frail_broker.kill()
        worker.logs("Connection to broker lost")
        worker.signal(how)
        stage.sees("cleaned", f"away-{how}")
        stage.sees("close", "hook")
        worker.exit_code()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGQUIT])
def test_an_idle_worker_ends_at_once(start_worker: StartWorker, stage: Stage, how: signal.Signals) -> None:
    with start_worker() as worker:
        worker.signal(how)
        stage.sees("close", "hook", within=timedelta(seconds=2))
        worker.exit_code(within=timedelta(seconds=3))


def all_slots_are_free(worker: Worker, stage: Stage) -> bool:
    """Fill every slot of the shared worker at once, then empty them."""
    names = ["free-1", "free-2", "free-3"]
    worker.hold(*names)
    stage.sees("started", *names)
    stage.lets_go(*names)
    stage.sees("finished", *names)
    return True
