"""Who does something, and from where."""

import getpass
from dataclasses import dataclass
from typing import Literal

UNKNOWN = "unknown"  # a user of the operating system who has no name


@dataclass(frozen=True, slots=True)
class Actor:
    """A project's key, which belongs to a service account; a key to the administration; or a user of the command line,
    by the name that the operating system has for them. `ip_address` and `user_agent` are those of an API request.
    """

    kind: Literal["api_key", "admin_key", "command_line"]
    id: str
    account_id: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None


def command_line() -> Actor:
    """Whoever runs this process."""
    try:
        return Actor("command_line", getpass.getuser())
    except (KeyError, OSError):  # a container's user may have no name
        return Actor("command_line", UNKNOWN)
