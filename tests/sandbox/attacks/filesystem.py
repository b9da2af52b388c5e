"""Reading and writing what isn't the session's."""

from tests.sandbox.attacks.attack import Attack
from tests.sandbox.attacks.bait import Bait
from worker.sandbox.client import SandboxSession

STAT_TELLS = {"landlock": "stat() tells of every path whether it exists"}
SAME_LEVEL = "would change the machine itself outside"


async def bait_is_whole(_: SandboxSession, bait: Bait) -> str | None:
    return None if bait.is_whole else "the bait was changed"


def read(name: str, path: str, *, control: str | None = None) -> Attack:
    return Attack(name, f"data = open({path}, 'rb').read(200)\nif data: breach(data)", without_control=control)


ATTACKS = [
    read("read a file by its path", "BAIT['secret']"),
    read("read /etc/passwd", "'/etc/passwd'"),
    read("read /etc/shadow", "'/etc/shadow'", control="only root can"),
    read("read it through /proc/1/root", "'/proc/1/root' + BAIT['secret']", control="only root can"),
    read("read it through /proc/self/root", "'/proc/self/root' + BAIT['secret']"),
    read("read it through /proc/self/cwd", "'/proc/self/cwd/../../../../../../../..' + BAIT['secret']"),
    read("read another process's environment", "f\"/proc/{BAIT['victim']}/environ\""),
    read("read another process's memory map", "f\"/proc/{BAIT['victim']}/maps\""),
    read("read the kernel's log", "'/dev/kmsg'", control="hangs where the log is empty"),
    read("read the disk", "'/dev/vda'", control="depends on the machine's devices"),
    read("read memory", "'/dev/mem'", control="depends on the kernel"),
    Attack("see that a file exists", "os.stat(BAIT['secret']); breach('it exists')", holes=STAT_TELLS),
    Attack("list a directory of the machine's", "if os.listdir(BAIT['root']): breach(os.listdir(BAIT['root']))"),
    Attack(
        "list everybody's home",
        "names = [n for p in ('/root', '/home') if os.path.isdir(p) for n in (attempt(os.listdir, p) or [])]\n"
        "if [n for n in names if n != 'sandbox']: breach(names)",
        without_control="nothing may be there",
    ),
    Attack(
        "find secrets in our own environment",
        "found = [k for k in os.environ if 'SECRET' in k or 'BAIT_IN' in k or 'ASSISTANTD' in k]\nif found: breach(found)",
        without_control="depends on the environment outside",
    ),
    Attack(
        "find the service's secret in an argument list",
        "import glob\nfor p in glob.glob('/proc/[0-9]*/cmdline'):\n    data = attempt(lambda: open(p, 'rb').read())\n"
        "    if data and b'infra.cli' in data: breach(data)",
        without_control="depends on what else runs",
    ),
    Attack(
        "find another session's files",
        "for base, dirs, names in os.walk('/'):\n"
        "    dirs[:] = [d for d in dirs if d not in ('proc', 'usr', 'opt', 'sys')]\n"
        "    if 'of-the-neighbour.txt' in names: breach(base)",
        without_control="walks the whole machine",
        seconds=10,
    ),
    Attack(
        "read the service's own records",
        "for up in ('..', '../..', '../../..'):\n"
        "    for base, dirs, names in os.walk(os.path.join('/mnt/data', up)):\n"
        "        dirs[:] = [d for d in dirs if d not in ('proc', 'usr', 'opt', 'sys', 'lib', 'lib64', 'tmp', 'mnt', 'home')]\n"
        "        if 'calls' in dirs or 'bwrap.filter' in names or 'log' in names: breach(base)",
        without_control="there is no /mnt/data outside",
    ),
    Attack(
        "overwrite a file",
        "open(BAIT['precious'], 'r+').write('HACKED')\nbreach('written')\nopen(BAIT['precious'], 'w').write(BAIT['canary'])",
        after=bait_is_whole,
    ),
    Attack("make a file", "open(BAIT['root'] + '/new', 'w').close(); breach('made'); os.unlink(BAIT['root'] + '/new')"),
    Attack(
        "truncate a file",
        "os.truncate(BAIT['precious'], 3); breach('truncated'); open(BAIT['precious'], 'w').write(BAIT['canary'])",
        after=bait_is_whole,
    ),
    Attack(
        "remove and rename files",
        "os.rename(BAIT['precious'], BAIT['precious'] + '2'); breach('renamed')\nos.rename(BAIT['precious'] + '2', BAIT['precious'])",
        after=bait_is_whole,
    ),
    Attack(
        "change a file's mode",
        "mode = os.stat(BAIT['secret']).st_mode\nos.chmod(BAIT['secret'], 0o600)\n"
        "if os.stat(BAIT['secret']).st_mode != mode: breach('changed')\nos.chmod(BAIT['secret'], 0o666)",
        after=bait_is_whole,
    ),
    Attack(
        "change a file's times",
        "os.utime(BAIT['secret'], (1, 1))\nif os.stat(BAIT['secret']).st_mtime == 1: breach('changed')",
    ),
    Attack(
        "change a file's mode through a descriptor",
        "fd = os.open(BAIT['secret'], os.O_RDONLY)\nos.fchmod(fd, 0o666)\nbreach('opened and changed')",
    ),
    Attack(
        "link a file of the machine's into the session",
        "os.makedirs('/mnt/data' if os.path.exists('/mnt/data') else BAIT['root'], exist_ok=True)\n"
        "target = ('/mnt/data' if os.path.exists('/mnt/data') else BAIT['root']) + '/hard'\n"
        "os.link(BAIT['secret'], target); breach('linked'); os.unlink(target)",
    ),
    Attack(
        "write into Python and its packages",
        "for place in sys.path + ['/usr/lib', '/opt/runner', '/opt/packages', '/opt/fonts', '/', '/etc', '/lib']:\n"
        "    if place and os.path.isdir(place) and '/mnt/data' not in place:\n"
        "        try:\n            open(place + '/sitecustomize_x.py', 'w').write('print(1)'); breach(place)\n"
        "        except OSError: pass",
        without_control=SAME_LEVEL,
    ),
    Attack(
        "poison the compiled files of packages",
        "import numpy\nopen(numpy.__file__, 'a').write('#'); breach('written')",
        without_control=SAME_LEVEL,
    ),
    Attack(
        "write to the kernel's settings",
        "for p in ('/proc/sys/kernel/core_pattern', '/proc/sys/kernel/hostname', '/proc/sysrq-trigger', '/proc/sys/vm/drop_caches',"
        " '/sys/kernel/mm/ksm/run', '/proc/sys/fs/binfmt_misc/register'):\n"
        "    try:\n        fd = os.open(p, os.O_WRONLY); breach(p)\n    except OSError: pass",
        without_control="only root can",
    ),
    Attack(
        "open by handle",
        "handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128))\nmount = ctypes.c_int()\n"
        "call(303, 264, -100, b'/usr/lib', handle, ctypes.byref(mount), 0); breach('a handle')",
    ),
    Attack(
        "use descriptors that were left open",
        "import stat\nfor fd in range(3, 256):\n    try: facts = os.fstat(fd)\n    except OSError: continue\n"
        "    if stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode): breach((fd, attempt(os.readlink, f'/proc/self/fd/{fd}')))",
        without_control="outside nobody left any",
    ),
    Attack(
        "remount the root to write",
        "call(165, 40, None, b'/', None, 0x20 | 0x1000, None) and 0; open('/x', 'w'); breach('remounted')",
        without_control=SAME_LEVEL,
    ),
    Attack(
        "run a program with the setuid bit",
        "import subprocess\nfor p in ('/usr/bin/su', '/usr/bin/mount', '/usr/bin/passwd', '/bin/su'):\n"
        "    try: subprocess.run([p, '--help'], capture_output=True); breach(p)\n    except OSError: pass",
    ),
    Attack(
        "start a shell", "import subprocess; subprocess.run(['/bin/sh', '-c', 'true'], check=True); breach('it ran')"
    ),
]
