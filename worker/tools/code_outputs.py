"""What a call of the code interpreter gives back, put together while it comes: pure."""

from typing import Any

from worker.models.text import storable

KEPT = 100_000  # characters of a call's text that are kept and shown
TOLD = 12_000  # of which the model is told so many: the beginning and the end
CUT = "\n[… {left} characters left out …]\n"

Output = dict[str, Any]


class Outputs:
    """Text and images in their order, as `code_interpreter.outputs`; text between two images is one of them."""

    def __init__(self) -> None:
        self.all: list[Output] = []
        self._left = KEPT

    def text(self, text: str) -> Output | None:
        """Add text; returns the delta that tells of it, if there is any."""
        kept = storable(text)[: max(0, self._left)]
        cut = len(text) > len(kept) and self._left > 0
        self._left -= len(text)
        if cut:
            kept += "\n[the rest of the output is left out]\n"
        if not kept:
            return None
        if not self.all or self.all[-1]["type"] != "logs":
            self.all.append({"type": "logs", "logs": ""})
        self.all[-1]["logs"] += kept
        return {"index": len(self.all) - 1, "type": "logs", "logs": kept}

    def image(self, file_id: str) -> Output:
        """Add an image; returns the delta that tells of it."""
        output = {"type": "image", "image": {"file_id": file_id}}
        self.all.append(output)
        return {"index": len(self.all) - 1, **output}


def told(outputs: list[Output]) -> str:
    """What the model is told of outputs."""
    parts = [
        output["logs"] if output["type"] == "logs" else "[An image, which the user sees with your answer.]\n"
        for output in outputs
    ]
    text = "".join(parts)
    if len(text) <= TOLD:
        return text
    half = TOLD // 2
    return text[:half] + CUT.format(left=len(text) - 2 * half) + text[-half:]
