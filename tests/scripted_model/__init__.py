"""The tests' model: an OpenAI-compatible HTTP server that says what a test has scripted.

It listens on a loopback port of the test's own event loop; workers in other processes reach it by `base_url`, the test
scripts and inspects it by plain calls. A script belongs to a model name: tests that run at the same time use different
names and don't disturb each other. Every request for a name takes the next turn of that name's script.

    name = model.script(CallFunctions([("weather", {"city": "Bergen"})]), Say("It rains."))
    ...                                     # create an assistant with model=name, run it
    first = await model.requested(name, 1)  # what the server was sent, recorded
"""

from tests.scripted_model.server import Received, ScriptedModel
from tests.scripted_model.turns import Break, CallFunctions, Empty, Fail, Garbage, Gate, Hang, Say, StreamError, Turn

__all__ = [
    "Break",
    "CallFunctions",
    "Empty",
    "Fail",
    "Garbage",
    "Gate",
    "Hang",
    "Received",
    "Say",
    "ScriptedModel",
    "StreamError",
    "Turn",
]
