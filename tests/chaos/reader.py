"""One reader of one run's events, over as many connections as it takes; it objects to what it should not be told."""

from tests.chaos.ledger import Ledger, Story
from tests.chaos.wire import Event, Json

TERMINAL = frozenset({"completed", "incomplete", "failed", "cancelled", "expired"})


class Reader:
    """`done` once the stream has ended as it should; `status` is where the run stood then."""

    def __init__(self, story: Story, ledger: Ledger) -> None:
        self.done = False
        self.status: str | None = None
        self.last: tuple[int, int] | None = None
        self._story = story
        self._ledger = ledger
        self._texts: dict[str, str] = {}

    def take(self, event: Event) -> None:
        """Take an event in."""
        self._check_order(event)
        kind = event.name.removeprefix("thread.message.")
        if event.name == "done":
            self.done = True
            if self.status is None:
                self._ledger.offend(self._story, "[RUN-7] a stream was done without saying where the run stands")
        elif event.name.startswith("thread.run.") and event.data["object"] == "thread.run":
            status = event.data["status"]
            self.status = status if status in TERMINAL or status == "requires_action" else None
        elif event.name == "error":
            self._ledger.offend(self._story, f"an error event: {event.data}")
        elif kind == "created":
            self._texts[event.data["id"]] = ""
        elif kind == "delta":
            self._texts[event.data["id"]] = self._texts.get(event.data["id"], "") + _text(event.data["delta"])
        elif kind in ("completed", "incomplete"):
            self._check_text(event.data)

    def _check_order(self, event: Event) -> None:
        """[RUN-4]: events of a term are numbered from 1 without gap, terms rise."""
        here = (event.term, event.number)
        if self.last is not None and here <= self.last:
            self._ledger.offend(self._story, f"[RUN-4] event {here} came after {self.last}")
        elif event.number != (self.last[1] + 1 if self.last is not None and event.term == self.last[0] else 1):
            self._ledger.offend(self._story, f"[RUN-4] there is a gap between {self.last} and {here} {event.name}")
        self.last = here

    def _check_text(self, message: Json) -> None:
        told, text = self._texts.get(message["id"]), _text(message)
        self._story.messages[message["id"]] = text
        if told != text:
            self._ledger.offend(self._story, f"[RUN-4] deltas say {told!r}, the message {text!r}")


def _text(carrier: Json) -> str:
    return "".join(part["text"]["value"] for part in carrier["content"])
