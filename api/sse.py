"""Server-sent events as a response."""

from collections.abc import AsyncGenerator

from starlette.responses import StreamingResponse

HEADERS = {
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # nginx would otherwise hold tokens back
}


class EventStream(StreamingResponse):
    """Sends frames as they come. When the client goes, the generator is closed; the run goes on."""

    def __init__(self, frames: AsyncGenerator[bytes]) -> None:
        super().__init__(frames, media_type="text/event-stream", headers=HEADERS)
