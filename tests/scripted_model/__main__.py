"""`python -m tests.scripted_model PORT`: a model without scripts, for trying things by hand; it echoes."""

import asyncio
import sys

from tests.scripted_model.server import ScriptedModel


async def serve(port: int) -> None:
    """Serve until interrupted."""
    model = ScriptedModel(port=port)
    await model.start()
    print(f"listening on {model.base_url}", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await model.stop()


if __name__ == "__main__":
    try:
        asyncio.run(serve(int(sys.argv[1])))
    except KeyboardInterrupt:
        sys.exit(130)
