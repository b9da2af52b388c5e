"""System calls that nobody here needs."""

from tests.sandbox.attacks.attack import Attack

ROOT = "only root can"
CONFIGURED = "depends on how the kernel is configured"


def call(name: str, x86: int, arm: int, arguments: str = "0, 0, 0, 0, 0", *, control: str | None = None) -> Attack:
    """`permitted`: a call that fails for its arguments alone has been let through as well."""
    code = (
        f"try: call({x86}, {arm}, {arguments}); breach('done')\n"
        "except OSError as e:\n    if e.errno in (errno.EINVAL, errno.EFAULT, errno.ENOENT, errno.EBADF, errno.ESRCH, errno.ENOKEY): breach(e)"
    )
    return Attack(name, code, without_control=control)


ATTACKS = [
    Attack(
        "a user namespace",
        "if os.fork() == 0:\n    try: call(272, 97, 0x10000000); breach('made')\n    finally: os._exit(0)\nos.wait()",
    ),
    Attack(
        "clone into a user namespace",
        "flags = 0x10000000 | 17\npid = call(56, 220, flags, 0, 0, 0, 0)\nif pid == 0: os._exit(0)\nbreach('cloned')\nos.waitpid(pid, 0)",
    ),
    Attack(
        "clone3 into a user namespace",
        "arguments = struct.pack('8Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0)\npid = call(435, 435, arguments, 64)\n"
        "if pid == 0: os._exit(0)\nbreach('cloned')\nos.waitpid(pid, 0)",
    ),
    call("setns", 308, 268, "-1, 0"),
    call("mount", 165, 40, "None, b'/nowhere', None, 0, None", control=ROOT),
    call("umount", 166, 39, "b'/nowhere', 0", control=ROOT),
    call("pivot_root", 155, 41, "b'/nowhere', b'/nowhere'", control=ROOT),
    call("chroot", 161, 51, "b'/nowhere'", control=ROOT),
    call("open_tree", 428, 428, "-1, None, 0"),
    call("move_mount", 429, 429, "-1, None, -1, None, 0", control=ROOT),
    call("fsopen", 430, 430, "b'tmpfs', 99", control=ROOT),
    call("io_uring_setup", 425, 425, "1, None", control=CONFIGURED),
    call("bpf", 321, 280, "0, None, 0", control=CONFIGURED),
    call("perf_event_open", 298, 241, "None, 0, -1, -1, 0", control=CONFIGURED),
    call("userfaultfd", 323, 282, "0x1234", control=CONFIGURED),
    call("add_key", 248, 217, "b'user', b'x', b'y', 1, -3"),
    call("keyctl", 250, 219, "0, -3, 0"),
    call("request_key", 249, 218, "b'user', b'x', None, 0"),
    call("personality", 135, 92, "0xffffffff"),
    call("kcmp", 312, 272, "BAIT['victim'], BAIT['victim'], 0, 0, 0", control=CONFIGURED),
    call("memfd_create", 319, 279, "b'x', 0"),
    call("memfd_secret", 447, 447, "0", control=CONFIGURED),
    call("shmget", 29, 194, "0x7E57, 0, 0"),
    call("msgget", 68, 186, "0x7E57, 0"),
    call("semget", 64, 190, "0x7E57, 0, 0"),
    call("mq_open", 240, 180, "b'of-nobody', 0, 0, None"),
    call("swapon", 167, 224, "b'/nowhere', 0", control=ROOT),
    call("init_module", 175, 105, "None, 0, None", control=ROOT),
    call("kexec_load", 246, 104, "0, 0, None, 0", control=ROOT),
    call("settimeofday", 164, 170, "None, None", control=CONFIGURED),
    call("sethostname", 170, 161, "b'x', 1", control="would rename the machine"),
    call("acct", 163, 89, "b'/nowhere'", control=ROOT),
    call("quotactl", 179, 60, "0, None, 0, None", control=CONFIGURED),
    call("syslog", 103, 116, "3, None, 0", control=CONFIGURED),
    call("lookup_dcookie", 212, 18, "0, None, 0", control=CONFIGURED),
    call("fanotify_init", 300, 262, "0, 0", control=CONFIGURED),
    call("landlock of its own", 444, 444, "None, 0, 1", control=CONFIGURED),
    call("a call that is not known yet", 999, 999, control="it is unknown outside as well"),
    call("setuid to root", 105, 146, "0", control=ROOT),
    Attack(
        "the 32-bit door",
        "import mmap\ncode = bytes.fromhex('b814000000cd80c3')  # getpid by int 0x80\n"
        "m = mmap.mmap(-1, 4096, prot=7)\nm.write(code)\nf = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n"
        "if _X86 and f() == os.getpid(): breach('open')",
        without_control="the kernel may lack it, and then the process dies",
        apart=True,
    ),
    Attack("the x32 door", "if _X86: call(0x40000000 + 39, 999); breach('open')", CONFIGURED),
    Attack(
        "capabilities",
        "facts = dict(l.split(':\\t') for l in open('/proc/self/status').read().splitlines())\n"
        "if any(int(facts[k], 16) for k in ('CapEff', 'CapPrm', 'CapInh', 'CapAmb')): breach(facts['CapEff'])",
        ROOT,
    ),
    Attack(
        "privileges to come",
        "facts = dict(l.split(':\\t') for l in open('/proc/self/status').read().splitlines())\n"
        "if facts['NoNewPrivs'] != '1' or facts['Seccomp'] != '2': breach(facts['NoNewPrivs'])",
    ),
    Attack(
        "raise our limits",
        "import resource\nfor n in ('AS', 'DATA', 'NPROC', 'FSIZE', 'NOFILE', 'CPU'):\n"
        "    w = getattr(resource, 'RLIMIT_' + n)\n    h = resource.getrlimit(w)[1]\n"
        "    if h == resource.RLIM_INFINITY: breach(n)\n"
        "    else:\n        try: resource.setrlimit(w, (h + 1, h + 1)); breach(n)\n        except (OSError, ValueError): pass",
    ),
    Attack(
        "make a device",
        "os.mknod('device', 0o600 | 0x2000, os.makedev(1, 3)); breach('made'); os.unlink('device')",
        ROOT,
    ),
    Attack(
        "lock memory", "call(149, 228, ctypes.create_string_buffer(1 << 20), 1 << 20); breach('locked')", CONFIGURED
    ),
    Attack("raise our priority", "os.nice(-5); breach('raised')", ROOT),
    Attack("real-time scheduling", "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)); breach('set')", ROOT),
    Attack(
        "attributes that nobody counts",
        "open('attributes', 'w').close()\nos.setxattr('attributes', 'user.x', bytes(3000)); breach('set')",
        CONFIGURED,
    ),
]
