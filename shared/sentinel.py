"""How a Redis is addressed that Sentinel watches over.

    sentinel://[user:password@]host[:port],host[:port]…/name[/database][?sentinel_password=…]

The hosts are those of the Sentinels, `name` is what they call the group of servers; whoever is its master is asked for
at every new connection. User and password are those of the servers, `sentinel_password` is that of the Sentinels.
"""

from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit

SCHEME = "sentinel"
PORT = 26379
TIMEOUT_S = 3.0


def is_watched(url: str) -> bool:
    """Whether it is an address of this kind."""
    return url.startswith(f"{SCHEME}://")


@dataclass(frozen=True)
class Watched:
    """Such an address, taken apart."""

    sentinels: tuple[tuple[str, int], ...]
    name: str
    database: int
    username: str | None
    password: str | None = field(repr=False)
    sentinel_password: str | None = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises ValueError, whose message shows no secret."""
        parts = urlsplit(url)
        credentials, _, hosts = parts.netloc.rpartition("@")
        username, _, password = credentials.partition(":")
        name, _, database = parts.path.strip("/").partition("/")
        query = dict(parse_qsl(parts.query))
        try:
            sentinels = tuple(_host(host) for host in hosts.split(","))
            number = int(database or 0)
        except ValueError:
            sentinels, number = (), 0
        if not sentinels or not name or query.keys() - {"sentinel_password"}:
            raise ValueError("expected sentinel://:password@host:26379,host:26379/name-of-the-master/0")
        return cls(
            sentinels=sentinels,
            name=name,
            database=number,
            username=unquote(username) or None,
            password=unquote(password) or None,
            sentinel_password=query.get("sentinel_password"),
        )

    @property
    def sentinel_options(self) -> dict[str, Any]:
        """Of connections to the Sentinels themselves."""
        options = {"socket_connect_timeout": TIMEOUT_S, "socket_timeout": TIMEOUT_S}
        return options if self.sentinel_password is None else {**options, "password": self.sentinel_password}

    @property
    def options(self) -> dict[str, Any]:
        """Of connections to the master."""
        return {"db": self.database, "username": self.username, "password": self.password}

    @property
    def broker_url(self) -> str:
        """The same as Celery's transport spells it."""
        user, password = quote(self.username or "", safe=""), quote(self.password or "", safe="")
        credentials = f"{user}:{password}@" if self.password else ""
        return ";".join(f"{SCHEME}://{credentials}{host}:{port}/{self.database}" for host, port in self.sentinels)

    @property
    def broker_options(self) -> dict[str, Any]:
        """What that spelling leaves out."""
        return {"master_name": self.name, "sentinel_kwargs": self.sentinel_options}


def _host(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("no host")
    return parts.hostname, parts.port or PORT
