"""The profile for the service's container: what a container runtime lets its processes ask of the kernel.

    python -m infra.sandbox.seccomp > infra/docker/sandbox-seccomp.json

Runtimes' own profiles refuse what bubblewrap is made of: namespaces, mounts, a new root. This one permits that, and
beyond it only what the filter within the walls knows, what a server asks for, and what a runtime does before it lets
go: otherwise less than those profiles. What code may ask is decided further in, by the filter of its level.
"""

import json
import sys
from typing import Any

from worker.sandbox.isolation import syscalls

ENOSYS = 38  # unknown calls don't exist: libraries fall back to what they did before
WALLS = ("clone", "clone3", "mount", "pivot_root", "setns", "sethostname", "umount2", "unshare")
CONFINING = ("landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "seccomp")
BECOMING = (
    *("capget", "capset", "chroot", "setfsgid", "setfsuid", "setgid", "setgroups", "setregid", "setresgid"),
    *("setresuid", "setreuid", "setrlimit", "setuid"),
)
SERVING = ("mknod", "mknodat", "mlock", "munlock")
UNIX, INET, INET6 = 1, 2, 10  # by their Linux numbers, wherever this is run
NETLINK, ROUTES = 16, 0  # with which bubblewrap switches a new network's loopback on


def profile() -> dict[str, Any]:
    """In the form that Docker, containerd and CRI-O read."""
    names = {*syscalls.X86_64, *syscalls.AARCH64, *WALLS, *CONFINING, *BECOMING, *SERVING} - {"socket"}
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": ENOSYS,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [
            {"names": sorted(names - {"io_uring_setup"}), "action": "SCMP_ACT_ALLOW"},
            *(
                {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [_equals(0, family)]}
                for family in (UNIX, INET, INET6)
            ),
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [_equals(0, NETLINK), _equals(2, ROUTES)]},
        ],
    }


def _equals(position: int, value: int) -> dict[str, Any]:
    return {"index": position, "value": value, "op": "SCMP_CMP_EQ"}


if __name__ == "__main__":
    json.dump(profile(), sys.stdout, indent=1)
    print()
