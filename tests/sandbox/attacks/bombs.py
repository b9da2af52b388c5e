"""Using up what others need. Outside they would do so: none has a control."""

from tests.sandbox.attacks.attack import Attack

NONE = "it would harm this machine"


def bomb(name: str, code: str, seconds: float = 3) -> Attack:
    return Attack(name, code, NONE, seconds=seconds)


ATTACKS = [
    bomb("processes", "while True:\n    try: os.fork()\n    except OSError: pass", 2),
    bomb(
        "threads",
        "import threading\nwhile True:\n    try: threading.Thread(target=time.sleep, args=(60,)).start()\n    except RuntimeError: time.sleep(0.01)",
        2,
    ),
    bomb("memory, one process", "x = []\nwhile True: x.append(bytearray(b'x') * (8 << 20))"),
    bomb(
        "memory, many processes",
        "for _ in range(10):\n    if os.fork() == 0:\n        x = bytearray(b'x') * (120 << 20)\n        time.sleep(60)\ntime.sleep(60)",
    ),
    bomb(
        "memory, shared",
        "import mmap\nx = []\nwhile True:\n    m = mmap.mmap(-1, 32 << 20)\n    for i in range(0, 32 << 20, 4096): m[i] = 1\n    x.append(m)",
    ),
    bomb("memory in /dev/shm", "n = 0\nwhile True:\n    n += 1\n    open(f'/dev/shm/{n}', 'wb').write(bytes(8 << 20))"),
    bomb("disk, one file", "with open('/mnt/data/big', 'wb') as f:\n    while True: f.write(bytes(1 << 20))"),
    bomb("disk, many files", "n = 0\nwhile True:\n    n += 1\n    open(f'{n}', 'wb').write(bytes(8 << 20))"),
    bomb(
        "disk, removed files that stay open",
        "x = []\nwhile True:\n    f = open('gone', 'wb'); os.unlink('gone'); x.append(f)\n    f.write(bytes(50 << 20)); f.flush()",
    ),
    bomb(
        "names: a million empty files",
        "for n in range(1000000): open(f'/tmp/{n}' if os.path.isdir('/opt/runner') else f'{n}', 'w').close()",
    ),
    bomb("names: directories within directories", "while True: os.mkdir('d'); os.chdir('d')"),
    bomb("a file of ten terabytes", "f = open('sparse', 'wb'); f.truncate(10 << 40)"),
    bomb("descriptors", "x = []\nwhile True: x.append(os.pipe())"),
    bomb(
        "buffers of pipes",
        "x = []\nfor _ in range(120):\n    r, w = os.pipe(); os.set_blocking(w, False); x.append((r, w))\n    try:\n        while True: os.write(w, bytes(65536))\n    except OSError: pass",
    ),
    bomb(
        "buffers of sockets",
        "x = []\nfor _ in range(120):\n    a, b = socket.socketpair(); a.setblocking(False); x.append((a, b))\n    try:\n        while True: a.send(bytes(65536))\n    except OSError: pass",
    ),
    bomb("time: a loop", "while True: pass", 1),
    bomb(
        "time: a loop that catches everything",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        1,
    ),
    bomb("time: a loop in C", "import itertools; max(itertools.repeat(1))", 1),
    bomb(
        "time: sleeping with signals blocked",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\ntime.sleep(60)",
        1,
    ),
    bomb("time: a stopped process", "import signal\nos.kill(os.getpid(), signal.SIGSTOP)", 1),
    bomb("output: without an end", "while True: print('x' * 10000)", 1),
    bomb("output: by descriptor", "while True: os.write(1, bytes(65536))", 1),
    bomb("output: one line of 300 MB", "print('x' * 300_000_000)"),
    bomb(
        "output: bytes that are no text",
        "sys.stdout.buffer.write(bytes(range(256)) * 4000); print('\\udcff\\ud800\\0')",
    ),
    bomb("output: an error's message of 200 MB", "raise ValueError('x' * 200_000_000)"),
    bomb(
        "output: a representation without an end", "class R:\n    def __repr__(self):\n        while True: pass\nR()", 1
    ),
    bomb(
        "output: an image of 60 MB",
        "from PIL import Image\ndisplay(Image.frombytes('RGB', (5000, 4000), os.urandom(60_000_000)))",
        10,
    ),
    bomb("stack: recursion without an end", "sys.setrecursionlimit(10**9)\ndef f(): f()\nf()"),
    bomb("code that crashes the interpreter", "ctypes.string_at(0)"),
]
