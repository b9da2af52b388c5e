"""What is shown rather than printed: figures and images, as PNG."""

import base64
import importlib
import io
import sys
from typing import Any

from .channel import Channel, Interrupts
from .output import Output

SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Display:
    """Sends images, up to `most` of at most `size` bytes a call, and says in words which it leaves out."""

    def __init__(self, channel: Channel, interrupts: Interrupts, output: Output, *, most: int, size: int) -> None:
        self._channel = channel
        self._interrupts = interrupts
        self._output = output
        self._most = most
        self._size = size
        self._left = most

    def begin(self) -> None:
        """A call begins."""
        self._left = self._most

    def __call__(self, *things: Any) -> None:
        """Show things: what has a picture as a picture, the rest as `repr` shows it."""
        for thing in things:
            data = picture(thing)
            if data is None:
                self._output.write("stdout", f"{thing!r}\n")
            else:
                self._image(data)

    def figures(self) -> None:
        """Show and close what was drawn with pyplot and not shown yet."""
        if "matplotlib.pyplot" in sys.modules:
            importlib.import_module("matplotlib.pyplot").show()

    def viewer(self) -> None:
        """`Image.show()` of PIL leads here, once PIL has been imported."""
        show = sys.modules.get("PIL.ImageShow")
        if show is None or getattr(show, "_viewers", [None])[:1] == [self]:
            return
        show._viewers.insert(0, self)  # noqa: SLF001 - `register` would ask for a subclass

    def show(self, image: Any, **_: Any) -> bool:
        """As PIL calls its viewers."""
        self(image)
        return True

    def _image(self, data: bytes) -> None:
        if self._left <= 0 or len(data) > self._size:
            why = f"more than {self._most} in one call" if self._left <= 0 else f"larger than {self._size} bytes"
            self._output.write("stderr", f"[an image is left out: {why}]\n")
            return
        self._left -= 1
        self._output.flush()
        with self._interrupts.deferred():
            self._channel.send("display", png=base64.b64encode(data).decode())


def picture(thing: Any) -> bytes | None:
    """A thing as PNG, or None where it has no picture."""
    if hasattr(thing, "savefig"):
        target = io.BytesIO()
        thing.savefig(target, format="png", bbox_inches="tight")
        return target.getvalue()
    if type(thing).__module__.startswith("PIL.") and hasattr(thing, "save"):
        target = io.BytesIO()
        (thing if thing.mode in {"1", "L", "LA", "P", "RGB", "RGBA", "I"} else thing.convert("RGB")).save(target, "png")
        return target.getvalue()
    make = getattr(type(thing), "_repr_png_", None)
    data = None if make is None else make(thing)
    return data if isinstance(data, bytes) and data.startswith(SIGNATURE) else None
