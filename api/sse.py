"""Server-sent events as a response."""

from collections.abc import AsyncGenerator

from starlette.responses import StreamingResponse

HEADERS = {
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # nginx would otherwise hold tokens back
}


def event_stream(frames: AsyncGenerator[bytes]) -> StreamingResponse:
    """Send frames as they come. When the client goes, the generator is closed; the run goes on."""
    return StreamingResponse(frames, media_type="text/event-stream", headers=HEADERS)
