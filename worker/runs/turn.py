"""One turn of the model: chunks in, events out, and the message and steps that are written."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared import ids
from shared.database import Row
from shared.events.writer import EventWriter
from shared.runs.status import MessageStatus, StepStatus
from shared.usage.facts import Used
from shared.wire.shapes.steps import RunStepObject
from shared.wire.shapes.threads import MessageObject
from shared.wire.steps import call_delta, step_object
from shared.wire.threads import annotation_object, image_part, message_object, text_part
from worker.models.deltas import USAGE, Answer, Delta
from worker.runs.citations import Citations, Piece, Sources
from worker.runs.clock import RunClock
from worker.tools import code_interpreter, offer
from worker.tools.code_input import CodeInput

Record = dict[str, Any]

NO_USAGE = dict.fromkeys(USAGE, 0)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a turn leaves what it began: its message, the step of that message, the step of its calls."""

    message: str | None  # why the message is incomplete; None if it is complete
    message_step: StepStatus
    tool_step: StepStatus
    last_error: Record | None = None


FINISHED = Ending(None, StepStatus.COMPLETED, StepStatus.IN_PROGRESS)
FILTERED = Ending("content_filter", StepStatus.COMPLETED, StepStatus.CANCELLED)
TRUNCATED = Ending("max_tokens", StepStatus.COMPLETED, StepStatus.CANCELLED)
CANCELLED = Ending("run_cancelled", StepStatus.CANCELLED, StepStatus.CANCELLED)
OVERDRAWN = Ending(None, StepStatus.COMPLETED, StepStatus.CANCELLED)
EXPIRED = Ending("run_expired", StepStatus.EXPIRED, StepStatus.EXPIRED)


def failed(error: Record) -> Ending:
    """The run failed; a step's error has no code of its own for a bad prompt."""
    code = "server_error" if error["code"] == "invalid_prompt" else error["code"]
    return Ending("run_failed", StepStatus.FAILED, StepStatus.FAILED, {**error, "code": code})


class Turn:
    """What the model says in one answer: a message, calls of tools, or a message and then calls.

    Ids follow from the run and the position, so that a turn that is taken again after a crash begins the same objects
    anew, and can't be recorded twice [RUN-3].
    """

    def __init__(
        self, run: Row, position: int, clock: RunClock, writer: EventWriter, sources: Sources, model: str
    ) -> None:
        self.answer = Answer(run["created_at"], (run["id"], position))
        self._run = run
        self._model = model  # as the endpoint calls it
        self._charged = False
        self._position = position
        self._clock = clock
        self._writer = writer
        self._sources = sources
        self._images = list(sources.images)  # to be shown with the next message
        self._code: dict[int, CodeInput] = {}  # of calls, by their place
        self._ours = offer.own(run["tools"])
        self._ended: list[Record] = []
        self._message: Record | None = None
        self._said = Citations(sources)  # in the message
        self._steps: list[Record] = []
        self._tool_step: Record | None = None

    def tell(self, delta: Delta) -> None:
        """Pass on what a chunk added.

        The first call ends the message before it, for clients take it so; both are written when the turn ends. Later
        calls wait until the answer is complete: servers may send them interleaved, and clients take the next call for
        the end of the last.
        """
        if delta.call is None:
            message = self._message or self._begin_message()
            self._tell_text(message["id"], self._said.feed(delta.text))
        elif delta.call == 0:
            self._end_message()
            self._tell_call(0, delta.arguments, begins=delta.begins)

    def heard_all(self) -> None:
        """The answer is complete: pass on what has waited."""
        if self._message is not None:
            self._tell_text(self._message["id"], self._said.end())
        for place, call in enumerate(self.answer.calls[1:], start=1):
            self._tell_call(place, call.arguments, begins=True)
        for place, code in self._code.items():
            self._tell_code(place, code.end())

    def end(self, ending: Ending) -> tuple[list[Record], list[Record]]:
        """Finish what the turn began; returns the messages and steps to record. May be called again with another
        ending, if the first could not be written; what has been told to have ended stays as it is.
        """
        if not self._steps and not self.answer.calls and ending in (FINISHED, FILTERED, TRUNCATED):
            self._begin_message()  # the model chose to say nothing
        if self._message is not None:
            self._fill_message(ending)
        for step in self._open_steps():
            of_calls = step is self._tool_step
            step["status"] = ending.tool_step if of_calls else ending.message_step
            step["last_error"] = ending.last_error
            step["usage"] = self.answer.usage if step is self._steps[-1] else NO_USAGE
            if of_calls:
                step["details"] = {"type": "tool_calls", "tool_calls": self._calls()}
        return [*self._ended, *([self._message] if self._message else [])], self._steps

    def announce(self, written_at: datetime) -> None:
        """Tell how the rest ended, now that it is a fact."""
        if self._message is not None:
            self._message["ended_at"] = written_at
            self._writer.put(f"thread.message.{self._message['status']}", self._message_object())
        for step in self._open_steps():
            if step["status"] != StepStatus.IN_PROGRESS:
                step["ended_at"] = written_at
                self._writer.put(f"thread.run.step.{step['status']}", self._step_object(step))

    def charge(self) -> Iterator[Used]:
        """What the answer has cost, if the endpoint has said so, or has said all: told once, however the turn ends."""
        answer = self.answer
        if not self._charged and (answer.usage is not None or answer.finish_reason is not None):
            self._charged = True
            counts = answer.usage or NO_USAGE
            asked, said = counts["prompt_tokens"], counts["completion_tokens"]
            yield Used("completions", self._model, 1, asked, max(0, min(answer.cached, asked)), said)

    @property
    def calls_ours(self) -> bool:
        """Did the model call a tool that is ours to carry out?"""
        return any(call.name in self._ours for call in self.answer.calls)

    @property
    def tool_step(self) -> Record | None:
        """The step of the calls, if there are any."""
        return self._tool_step

    def _calls(self) -> list[Record]:
        return [offer.begun(call.plain(), self._ours) for call in self.answer.calls]

    def _tell_text(self, message_id: str, pieces: Iterable[Piece]) -> None:
        for text, annotation in pieces:
            if annotation is None:
                self._writer.text(message_id, text, len(self._images))
            else:
                place = len(self._said.annotations) - 1
                shown = {"index": place, **annotation_object(annotation, self._run["dialect"])}
                self._writer.annotated(message_id, text, shown, len(self._images))

    def _open_steps(self) -> list[Record]:
        return [step for step in self._steps if step["ended_at"] is None]

    def _end_message(self) -> None:
        """The message is complete: tell so. What it cost is counted with the calls that follow it."""
        if self._message is None:
            return
        self._tell_text(self._message["id"], self._said.end())
        self._fill_message(FINISHED)
        self._message["ended_at"] = self._clock.now()
        self._writer.put("thread.message.completed", self._message_object())
        (step,) = self._open_steps()
        step |= {"status": StepStatus.COMPLETED, "usage": NO_USAGE, "ended_at": self._message["ended_at"]}
        self._writer.put("thread.run.step.completed", self._step_object(step))
        self._ended.append(self._message)
        self._message, self._said, self._images = None, Citations(self._sources), []

    def _fill_message(self, ending: Ending) -> None:
        if self._message is not None:
            text = text_part(self._said.text, self._said.annotations)
            self._message["content"] = [*map(image_part, self._images), text]
            self._message["incomplete_reason"] = ending.message
            self._message["status"] = MessageStatus.INCOMPLETE if ending.message else MessageStatus.COMPLETED

    def _begin_message(self) -> Record:
        position = self._position + len(self._steps)
        message_id = ids.derive("msg", self._run["created_at"], position, self._run["id"])
        details = {"type": "message_creation", "message_creation": {"message_id": message_id}}
        step = self._begin_step("message_creation", details)
        self._message = {
            "id": message_id,
            "created_at": step["created_at"],
            "thread_id": self._run["thread_id"],
            "role": "assistant",
            "content": [],
            "attachments": [],
            "file_ids": [],
            "assistant_id": self._run["assistant_id"],
            "run_id": self._run["id"],
            "status": "in_progress",
            "incomplete_reason": None,
            "ended_at": None,
            "metadata": {},
        }
        self._writer.put("thread.message.created", self._message_object())
        self._writer.put("thread.message.in_progress", self._message_object())
        if self._images:
            parts = [{"index": place, **image_part(file_id)} for place, file_id in enumerate(self._images)]
            delta = {"id": message_id, "object": "thread.message.delta", "delta": {"content": parts}}
            self._writer.put("thread.message.delta", delta)
        return self._message

    def _begin_step(self, kind: str, details: Record) -> Record:
        position = self._position + len(self._steps)
        step: Record = {
            "id": ids.derive("step", self._run["created_at"], position, self._run["id"]),
            "position": position,
            "created_at": self._clock.now(),
            "expires_at": self._run["expires_at"],
            "run_id": self._run["id"],
            "thread_id": self._run["thread_id"],
            "assistant_id": self._run["assistant_id"],
            "type": kind,
            "status": StepStatus.IN_PROGRESS,
            "details": details,
            "usage": None,
            "last_error": None,
            "ended_at": None,
            "metadata": {},
        }
        self._steps.append(step)
        self._writer.put("thread.run.step.created", self._step_object(step))
        self._writer.put("thread.run.step.in_progress", self._step_object(step))
        return step

    def _tell_call(self, place: int, arguments: str, *, begins: bool) -> None:
        """Each value is sent once, for clients add up what they get; only arguments may come in pieces."""
        if self._tool_step is None:
            self._tool_step = self._begin_step("tool_calls", {"type": "tool_calls", "tool_calls": []})
        call = self.answer.calls[place]
        ours = call.name in self._ours
        if begins:
            begun = offer.begun({**call.plain(), "function": {"name": call.name, "arguments": ""}}, self._ours)
            self._put_call({"index": place, **call_delta(begun, self._run["dialect"])})
        if arguments and not ours:
            self._put_call({"index": place, "type": "function", "function": {"arguments": arguments}})
        if call.name in self._ours & {code_interpreter.NAME}:
            self._tell_code(place, self._code.setdefault(place, CodeInput()).feed(arguments))

    def _tell_code(self, place: int, code: str) -> None:
        if code:
            self._put_call({"index": place, "type": "code_interpreter", "code_interpreter": {"input": code}})

    def _put_call(self, piece: Record) -> None:
        step_id = self._tool_step["id"] if self._tool_step else ""
        delta = {"step_details": {"type": "tool_calls", "tool_calls": [piece]}}
        self._writer.put("thread.run.step.delta", {"id": step_id, "object": "thread.run.step.delta", "delta": delta})

    def _message_object(self) -> MessageObject:
        return message_object(self._message or {}, self._run["dialect"])

    def _step_object(self, step: Record) -> RunStepObject:
        return step_object(step, self._run["dialect"])
