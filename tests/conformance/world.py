"""What a fuzz has heard of, so that what it asks for is mostly there."""

import random
from dataclasses import dataclass, field
from typing import Any, cast

from schemathesis import Case

MEETS = 0.9  # of the ids in bodies are of something that there is

# Kinds of objects, and the names that bodies have for their ids: one, and several.
NAMED = {
    "assistant": ("assistant_id",),
    "file": ("file_id", "file_ids"),
    "upload.part": ("part_id", "part_ids"),
    "vector_store": ("vector_store_id", "vector_store_ids"),
}


@dataclass
class World:
    """What there is, as far as the answers told."""

    ids: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in NAMED})
    waiting: dict[str, tuple[str, list[str]]] = field(default_factory=dict[str, tuple[str, list[str]]])
    """Runs that wait: on which thread, and for which calls."""

    def learn(self, body: Any) -> None:
        """Remember what is in an answer, and forget what is gone."""
        for one in body.get("data", [body]):
            known = self.ids.get(one.get("object", "").removesuffix(".deleted"), [])
            if one.get("deleted"):
                known[:] = [other for other in known if other != one["id"]]
            elif one.get("id") not in known:
                known.append(one.get("id"))
            if action := one.get("required_action"):
                calls = [call["id"] for call in action["submit_tool_outputs"]["tool_calls"]]
                self.waiting[one["id"]] = (one["thread_id"], calls)

    def met(self, case: Case[Any], dice: random.Random) -> None:
        """Let the case be about what there is: ids in its body, and runs that wait."""
        case.body = self._about(case.body, dice)
        if case.operation.path.endswith("/submit_tool_outputs") and self.waiting and dice.random() < MEETS:
            run_id = dice.choice(list(self.waiting))
            thread_id, calls = self.waiting.pop(run_id)
            case.path_parameters = {"thread_id": thread_id, "run_id": run_id}
            if isinstance(case.body, dict):
                outputs = [{"tool_call_id": call, "output": str(dice.random())} for call in calls]
                case.body = cast("Any", {**case.body, "tool_outputs": outputs})

    def _about(self, body: Any, dice: random.Random) -> Any:
        match body:
            case dict():
                fields: dict[str, Any] = {name: self._about(value, dice) for name, value in body.items()}
                for kind, (one, *several) in NAMED.items():
                    if self.ids[kind] and dice.random() < MEETS:
                        found = dice.choice(self.ids[kind])
                        fields |= {one: found} if one in fields else {}
                        fields |= {name: [found] for name in several if fields.get(name)}
                return fields
            case list():
                return [self._about(one, dice) for one in body]
            case _:
                return body
