"""Content on its way into rows and out of them: what people, models and tools said, sealed if there is a vault.

A statement's parameters name what of them is content (`Secret`); rows that come back are known by their columns. Both
is done within a project alone (`Database.within`): statements of the system move content about as it lies. Where there
is no vault, and in rows from before there was one, content lies as it is.

A sealed text is one word, which begins with `MARK` and names its data key; it may stand on a line of its own among
others, for SQL puts instructions together. A sealed JSON value is an array of such a word and the ids of the files
which the value names, so that SQL finds those. No plain value looks like either: content is an array of objects, what
else is sealed an object, and a plain text with a mark in it is made a word as well, without a key.
"""

import asyncio
import re
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import orjson

from shared.vault.masters import NoMasterKey
from shared.vault.opened import DamagedError, Opened

if TYPE_CHECKING:
    from shared.vault.vault import Vault

Purpose = Literal["instructions", "body", "fingerprint", "content", "details", "required_action"]
"""For what it was sealed: the column that it is in, in whichever table."""

MARK = "assistantd.sealed.1."
SPOKEN = "message_creation"
TEXTS = frozenset({"instructions", "body", "fingerprint"})
VALUES = frozenset({"content", "details", "required_action"})
TO_COME = "messages_to_come"  # a column with whole messages
_ITEMS, _ITEM = frozenset({"context", TO_COME}), "unfinished"  # and those of statements that put rows together as JSON
_COLUMNS = TEXTS | VALUES | _ITEMS | {_ITEM}
_A_WHILE = 50  # items that are opened before others have their turn on the loop

_NO_KEY = UUID(int=0)
UNSEALED = f"{MARK}{_NO_KEY.hex}."
"""Begins a word that everybody can read."""
_LINE = re.compile(rf"^{re.escape(MARK)}.*$", re.MULTILINE)
_DOT = len(UNSEALED) - 1
_ASKED = 3  # times for one key: whoever finds it may forget it before it is used, but not for ever
_LONG, _MANY = 16 * 1024, 500  # instructions that are kept
_FILE = re.compile(rb'"(file-[0-9A-Za-z]{20,64})"')  # an id, of ours or of OpenAI's
_NULL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class ContentUnavailable(Exception):
    """Content can't be sealed or opened by this process: it has not been given the master key."""


class ContentLost(ContentUnavailable):
    """Content can be opened by nobody any more: its data key is gone or damaged, or it is not what was sealed."""

    TOLD = "What is stored of this can't be opened any more: it was damaged, or its key is gone."


class _NotAtHandError(Exception):
    """The data key of this id has to be asked for."""

    def __init__(self, key_id: UUID) -> None:
        self.key_id = key_id


class UnstorableError(ValueError):
    """There is a null character in it, which Postgres stores in no text: it is refused whether it is sealed or not."""


class Secret:
    """Content, as a parameter of a statement (a text) or somewhere within one (`Json`)."""

    __slots__ = ("purpose", "value")

    def __init__(self, purpose: Purpose, value: Any) -> None:
        self.purpose: Purpose = purpose
        self.value = value


class Json:
    """JSON as a parameter that the statement casts to jsonb; there may be secrets in it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Opens:
    """A parameter that says whether sealed content can be opened by this process."""


_OURS = frozenset({Secret, Json, Opens})


def secret(record: Mapping[str, Any], *purposes: Purpose) -> dict[str, Any]:
    """The record, of which these entries are content."""
    return {**record, **{purpose: Secret(purpose, record[purpose]) for purpose in purposes if purpose in record}}


class Contents:
    """Seals and opens content by the keys of a vault, if there is one."""

    def __init__(self, vault: "Vault | None" = None) -> None:
        self.vault = vault
        self._instructions: dict[str, str] = {}

    async def key(self, project_id: str) -> Opened | None:
        """What seals the project's content now; None where nothing is sealed. Raises ContentUnavailable."""
        try:
            return None if self.vault is None else await self.vault.current(project_id)
        except (NoMasterKey, LookupError) as error:
            raise ContentUnavailable(str(error)) from None
        except DamagedError as error:
            raise ContentLost(str(error)) from None

    async def secret_of_keys(self) -> bytes | None:
        """What clients' keys are hashed by; None where there is no such secret. Raises ContentUnavailable."""
        try:
            return None if self.vault is None else await self.vault.of_organization()
        except NoMasterKey as error:
            raise ContentUnavailable(str(error)) from None
        except DamagedError as error:
            raise ContentLost(str(error)) from None

    async def find(self, key_id: UUID) -> Opened:
        """The key of that id. Raises ContentUnavailable."""
        if self.vault is None:
            raise ContentUnavailable("ASSISTANTD_ENCRYPTION_KEYS is not set")
        try:
            return await self.vault.find(key_id)
        except NoMasterKey as error:
            raise ContentUnavailable(str(error)) from None
        except (LookupError, DamagedError) as error:
            raise ContentLost(str(error)) from None

    def at_hand(self, key_id: UUID) -> Opened:
        """The key of that id if it is remembered. Raises LookupError."""
        if self.vault is None:
            raise LookupError("there is no vault")
        return self.vault.at_hand(key_id)

    async def encode(self, params: Mapping[str, Any] | None, project_id: str | None) -> Mapping[str, Any] | None:
        """Parameters as the driver takes them. Raises UnstorableError, ContentUnavailable; LookupError if it is not
        known whose content this is.
        """
        if params is None or _OURS.isdisjoint(map(type, params.values())):
            return params
        key = None
        if self.vault is not None and project_id is not None:
            key = await self.key(project_id)

        def written(given: Any) -> Any:
            if not isinstance(given, Secret):
                raise TypeError(f"{type(given).__name__} is no JSON")
            if self.vault is not None and key is None:
                raise LookupError(f"{given.purpose}: content is written within a project")
            return _written(given, key)

        ours = {name: value for name, value in params.items() if type(value) in _OURS}
        return {**params, **{name: self._parameter(value, written) for name, value in ours.items()}}

    def _parameter(self, value: Any, written: Callable[[Any], Any]) -> Any:
        match value:
            case Opens():
                return self.vault is not None
            case Json():
                return _json(value.value, written)
            case _:
                return written(value)

    async def decode(self, rows: Sequence[dict[str, Any]], project_id: str | None = None) -> None:
        """Open in place what is sealed in these rows, of this project or each of the one that it names.

        Raises ContentUnavailable; some may be open then.
        """
        columns = _COLUMNS.intersection(rows[0]) if rows else ()
        for row in rows:
            whose = project_id or row.get("project_id")
            for name in columns:
                if (value := row[name]) is not None:
                    row[name] = await (self._items if name in _ITEMS else self._column)(name, value, whose)

    async def anew(self, purpose: Purpose, stored: Any, key: Opened | None, project_id: str) -> Any:
        """What is to lie in a row in place of what does, if that key is to seal it. Raises ContentUnavailable."""
        if stored is None:
            return None
        return _written(Secret(purpose, await self._column(purpose, stored, project_id)), key)

    async def _items(self, name: str, items: Sequence[Any], whose: str | None) -> list[Any]:
        opened: list[Any] = []
        for begin in range(0, len(items), _A_WHILE):
            if begin:
                await asyncio.sleep(0)
            opened += await self._column(name, items[begin : begin + _A_WHILE], whose)
        return opened

    async def _column(self, name: str, value: Any, whose: str | None) -> Any:
        """What is in it, by keys that are at hand; each that isn't is asked for, and it is begun anew."""
        asked: list[UUID] = []
        while True:
            try:
                return self._inside(name, value, whose)
            except _NotAtHandError as lacks:
                if asked.count(lacks.key_id) == _ASKED:
                    raise ContentUnavailable(f"the data key {lacks.key_id} is found, and never at hand") from None
                await self.find(lacks.key_id)
                asked.append(lacks.key_id)
            except DamagedError as error:
                raise ContentLost(f"{name}: {error}") from None
            except ValueError:  # no base64, no UTF-8, no JSON
                raise ContentLost(f"{name}: it is not what was sealed") from None

    def _inside(self, name: str, value: Any, whose: str | None) -> Any:
        if name in TEXTS:
            return self._text(name, value, whose)
        if name in VALUES:
            return self._value(name, value, whose)
        return self._item(value, whose) if name == _ITEM else [self._item(item, whose) for item in value]

    def _item(self, item: Mapping[str, Any], whose: str | None) -> dict[str, Any]:
        return {name: self._value(name, value, whose) if name in VALUES else value for name, value in item.items()}

    def _value(self, purpose: str, value: Any, whose: str | None) -> Any:
        if not isinstance(value, list) or not value or not isinstance(value[0], str):
            return value
        return orjson.loads(_opened(value[0], self._key_of(value[0], whose), purpose))

    def _text(self, purpose: str, value: str, whose: str | None) -> str:
        if MARK not in value:
            return value
        return _LINE.sub(lambda line: self._line(purpose, line[0], whose), value)

    def _line(self, purpose: str, word: str, whose: str | None) -> str:
        """Instructions are an assistant's more often than not, and come by with each of its runs: they are kept, for
        whoever has their key at hand.
        """
        key = self._key_of(word, whose)
        if purpose != "instructions":
            return _opened(word, key, purpose).decode()
        text = self._instructions.get(word)
        if text is None:
            text = _opened(word, key, purpose).decode()
            if len(word) <= _LONG:
                self._instructions[word] = text
            if len(self._instructions) > _MANY:
                del self._instructions[next(iter(self._instructions))]
        return text

    def _key_of(self, word: str, whose: str | None) -> Opened | None:
        """What sealed a word; None if nothing did. Raises _NotAtHandError; ValueError if it is no sealed word, or
        another project's.
        """
        if not word.startswith(MARK) or word[_DOT : _DOT + 1] != ".":
            raise DamagedError("it is no sealed word")
        key_id = _key_id(word[len(MARK) : _DOT])
        if key_id == _NO_KEY:
            return None
        try:
            key = self.at_hand(key_id)
        except LookupError:
            raise _NotAtHandError(key_id) from None
        if whose is not None and whose != key.project_id:
            raise DamagedError("it is another project's")
        return key


def _opened(word: str, key: Opened | None, purpose: str) -> bytes:
    """Raises ValueError if it is not what was sealed."""
    sealed = a2b_base64(word[_DOT + 1 :], strict_mode=True)
    return sealed if key is None else key.open(sealed, purpose.encode())


@lru_cache(maxsize=1000)
def _key_id(text: str) -> UUID:
    """As `UUID.hex` writes it; raises ValueError otherwise. Reading one takes as long as opening a sentence, and there
    are few.
    """
    key_id = UUID(text)
    if key_id.hex != text:
        raise ValueError("it is no key's id")
    return key_id


def _json(value: Any, written: Callable[[Any], Any]) -> str:
    try:
        return orjson.dumps(value, written).decode()
    except TypeError as error:
        raise error.__cause__ or error from None  # orjson wraps whatever it was that `written` raised


def _written(given: Secret, key: Opened | None) -> Any:
    if given.purpose in TEXTS:
        return given.value and _text(given.purpose, given.value, key)
    if key is None or _says_nothing(given):
        return given.value
    content = orjson.dumps(given.value)
    if b"\\u0000" in content and _NULL.search(content):
        raise UnstorableError("a null character")
    return [_word(key, given.purpose, content), *_files(content)]


def _says_nothing(given: Secret) -> bool:
    """Are these the details of a step that is a message? They are its id, and stay as they are, for SQL to read."""
    return given.purpose == "details" and given.value.get("type") == SPOKEN


def _text(purpose: str, text: str, key: Opened | None) -> str:
    if "\0" in text:
        raise UnstorableError("a null character")
    if key is not None:
        return _word(key, purpose, text.encode())
    return f"{UNSEALED}{b64encode(text.encode()).decode()}" if MARK in text else text


def _word(key: Opened, purpose: str, content: bytes) -> str:
    return f"{MARK}{key.id.hex}.{b64encode(key.seal(content, purpose.encode())).decode()}"


def _files(content: bytes) -> list[str]:
    """Ids of files that a value names."""
    return sorted({found.decode() for found in _FILE.findall(content)}) if b'"file-' in content else []
