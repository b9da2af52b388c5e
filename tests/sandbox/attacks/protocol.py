"""Speaking to the service in the runner's place: the socket is in the same process, so nothing hides it."""

from tests.sandbox.attacks.attack import Attack
from tests.sandbox.attacks.bait import Bait
from worker.sandbox.client import SandboxSession

NONE = "there is no service outside"
FIND = """
import json
frame_ = sys._getframe()
while 'channel' not in frame_.f_locals: frame_ = frame_.f_back
channel = frame_.f_locals['channel']
sock = channel._socket
def frame(body):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    sock.sendall(struct.pack('>I', len(body)) + body)
CALL = channel.call
"""


async def service_goes_on(session: SandboxSession, _: Bait) -> str | None:
    """Whatever it did to its own session; that others' calls go on is the neighbour's to find out."""
    health = await session._client.health()  # pyright: ignore[reportPrivateUsage] - the service as a whole
    return None if health["status"] == "ok" else str(health)


def forge(name: str, code: str, seconds: float = 1) -> Attack:
    return Attack(name, FIND + code, NONE, after=service_goes_on, seconds=seconds)


ATTACKS = [
    forge("garbage", "sock.sendall(os.urandom(100_000))"),
    forge("a frame of four gigabytes", "sock.sendall(b'\\xff\\xff\\xff\\xff')"),
    forge("a frame of no length", "sock.sendall(bytes(4))"),
    forge("a frame that never ends", "sock.sendall(struct.pack('>I', 1000)); time.sleep(60)"),
    forge("brackets without an end", "frame(b'[' * 10_000_000)"),
    forge("a deep object", "frame(b'{\"a\":' * 900_000 + b'1' + b'}' * 900_000)"),
    forge(
        "a number of a million digits", 'frame(b\'{"type":"stdout","call":\' + b\'9\' * 1_000_000 + b\',"text":""}\')'
    ),
    forge(
        "a pickle",
        "import pickle\nclass E:\n    def __reduce__(self): return (os.system, ('touch /tmp/pickled',))\nframe(pickle.dumps(E()))",
    ),
    forge(
        "an end that is none",
        "frame({'type': 'done', 'call': CALL, 'status': 'ok', 'truncated': False}); time.sleep(60)",
    ),
    forge("a second end", "frame({'type': 'done', 'call': CALL, 'status': 'ok', 'truncated': False})"),
    forge(
        "ends of calls to come",
        "for n in range(1000): frame({'type': 'done', 'call': n, 'status': 'ok', 'truncated': False})",
    ),
    forge("ready once more", "frame({'type': 'ready'})"),
    forge("a kind that is unknown", "frame({'type': 'exec', 'call': CALL, 'text': 'import os'})"),
    forge("an image that is a page", "frame({'type': 'display', 'call': CALL, 'png': 'PHNjcmlwdD4='})"),
    forge("an image that only begins as one", "frame({'type': 'display', 'call': CALL, 'png': 'iVBORw0KGgo\"<x>'})"),
    forge("a flood of small frames", "while True: frame({'type': 'stdout', 'call': CALL, 'text': ''})", 2),
    forge("a flood of text", "while True: frame({'type': 'stdout', 'call': CALL, 'text': 'x' * 1_000_000})", 6),
    forge(
        "a flood of images",
        "png = 'iVBORw0KGgoA' * 700_000\nwhile True: frame({'type': 'display', 'call': CALL, 'png': png})",
        6,
    ),
    forge("hanging up", "sock.shutdown(2); sock.close(); time.sleep(60)"),
    forge("leaving the socket to a child", "if os.fork() == 0:\n    time.sleep(60)\nos._exit(0)"),
    forge("not listening", "sock.shutdown(0); time.sleep(60)"),
    forge(
        "passing a descriptor",
        "sock2 = socket.socket(fileno=os.dup(sock.fileno())); socket.send_fds(sock2, [b'\\0\\0\\0\\0'], [0, 1, 2])",
    ),
    forge("breaking the runner", "import inside.cells as c\nc.Cells.run = lambda self, code: 1/0\nchannel.send = None"),
]
