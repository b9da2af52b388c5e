"""Files that come in parts: whole, in order, once; whatever is refused or given up leaves no bytes behind."""

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from shared.wire import limits
from tests import http
from tests.system import Project, System, until

MEGABYTE = 1024 * 1024


@pytest.fixture
async def client(project: Project) -> AsyncIterator[httpx2.AsyncClient]:
    async with http.session(project) as session:
        yield session


def blobs(system: System) -> set[str]:
    """Keys of all that is in the store, unfinished files included; what other tests left may go at any moment."""
    return {path.name for path in Path(system.root / "data" / "files").rglob("*") if path.is_file()}


async def begin(client: httpx2.AsyncClient, size: int, **more: Any) -> str:
    body = {"filename": "a.txt", "purpose": "assistants", "bytes": size, "mime_type": "text/plain", **more}
    answer = await client.post("/uploads", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


async def add(client: httpx2.AsyncClient, upload: str, content: bytes, key: str | None = None) -> httpx2.Response:
    headers = {"idempotency-key": key} if key else {}
    return await client.post(f"/uploads/{upload}/parts", files={"data": ("part", content)}, headers=headers)


async def added(client: httpx2.AsyncClient, upload: str, *contents: bytes) -> list[str]:
    answers = await asyncio.gather(*(add(client, upload, content) for content in contents))
    assert [answer.status_code for answer in answers] == [200] * len(contents)
    return [answer.json()["id"] for answer in answers]


async def complete(client: httpx2.AsyncClient, upload: str, parts: list[str], **more: Any) -> httpx2.Response:
    return await client.post(f"/uploads/{upload}/complete", json={"part_ids": parts, **more})


def says(answer: httpx2.Response, sentence: str, param: str | None = None, status: int = 400) -> None:
    """The answer is an error of that kind."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert sentence in error["message"]
    assert error["param"] == param


async def test_the_official_client_uploads_in_parts(project: Project) -> None:
    content = bytes(range(256)) * 10_000

    upload = await project.client.uploads.upload_file_chunked(
        file=content,
        filename="räksmörgås.bin",
        bytes=len(content),
        mime_type="application/octet-stream",
        purpose="assistants",
        part_size=MEGABYTE,
        md5=hashlib.md5(content).hexdigest(),
    )

    assert upload.status == "completed"
    assert upload.expires_at == upload.created_at + 3600
    assert upload.file is not None
    assert (upload.file.filename, upload.file.bytes) == ("räksmörgås.bin", len(content))
    assert (await project.client.files.retrieve(upload.file.id)) == upload.file
    assert (await project.client.files.content(upload.file.id)).content == content


async def test_a_file_from_disk(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a": 1}\n' * 1000)

    upload = await project.client.uploads.upload_file_chunked(
        file=path, mime_type="text/jsonl", purpose="fine-tune", part_size=4000
    )

    assert upload.file is not None
    assert (upload.file.filename, upload.file.purpose) == ("lines.jsonl", "fine-tune")
    assert (await project.client.files.content(upload.file.id)).content == path.read_bytes()


async def test_parts_come_in_any_order_and_are_used_in_the_one_that_is_named(
    client: httpx2.AsyncClient, project: Project
) -> None:
    upload = await begin(client, 9)
    second, third, first, unused = await added(client, upload, b"two", b"333", b"one", b"sent twice")

    done = (await complete(client, upload, [first, second, third])).json()

    assert unused not in (first, second, third)
    assert done["status"] == "completed"
    assert (await project.client.files.content(done["file"]["id"])).content == b"onetwo333"
    assert [file.id for file in (await project.client.files.list()).data] == [done["file"]["id"]]


async def test_an_upload_may_be_empty(client: httpx2.AsyncClient, project: Project) -> None:
    done = (await complete(client, await begin(client, 0), [])).json()

    assert (await project.client.files.content(done["file"]["id"])).content == b""


async def test_the_file_expires_as_was_asked(client: httpx2.AsyncClient) -> None:
    upload = await begin(client, 1, expires_after={"anchor": "created_at", "seconds": 7200})

    file = (await complete(client, upload, await added(client, upload, b"x"))).json()["file"]

    assert file["expires_at"] == file["created_at"] + 7200


CREATIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"filename": ""}, "filename", "empty string"),
    ({"filename": "n" * 513}, "filename", "maximum length 512"),
    ({"purpose": "jokes"}, "purpose", "Invalid value: 'jokes'."),
    ({"bytes": -1}, "bytes", "Expected a value >= 0"),
    ({"bytes": "many"}, "bytes", "expected an integer, but got a string"),
    ({"bytes": limits.FILE_BYTES + 1}, "bytes", f"Expected a value <= {limits.FILE_BYTES}"),
    ({"bytes": 8 * 1024**3}, "bytes", f"Expected a value <= {limits.FILE_BYTES}"),
    ({"mime_type": "text"}, "mime_type", "does not match pattern"),
    ({"mime_type": "text/plain", "purpose": "vision"}, "mime_type", "takes a type of images"),
    ({"mime_type": "image/png", "purpose": "batch"}, "mime_type", "takes a type of JSON lines"),
    ({"mime_type": "text/plain", "purpose": "fine-tune"}, "mime_type", "takes a type of JSON lines"),
    ({"expires_after": {"seconds": 3600}}, "expires_after.anchor", "Missing required parameter"),
    ({"expires_after": {"anchor": "created_at", "seconds": 3599}}, "expires_after.seconds", "value >= 3600"),
    ({"expires_after": {"anchor": "born_at", "seconds": 3600}}, "expires_after.anchor", "Invalid value: 'born_at'."),
    ({"md5": "x"}, "md5", "Unknown parameter: 'md5'."),
]


@pytest.mark.parametrize(("fields", "param", "sentence"), CREATIONS)
async def test_creations_that_are_refused(
    client: httpx2.AsyncClient, fields: dict[str, Any], param: str, sentence: str
) -> None:
    body = {"filename": "a.txt", "purpose": "assistants", "bytes": 1, "mime_type": "text/plain", **fields}

    says(await client.post("/uploads", json=body), sentence, param)


@pytest.mark.parametrize("purpose", ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"])
async def test_every_purpose(client: httpx2.AsyncClient, purpose: str) -> None:
    kind = {"batch": "application/jsonl", "fine-tune": "text/jsonl", "vision": "image/png"}.get(purpose, "text/plain")
    upload = await begin(client, 1, purpose=purpose, mime_type=kind)

    done = (await complete(client, upload, await added(client, upload, b"x"))).json()

    assert done["purpose"] == done["file"]["purpose"] == purpose


async def test_completions_that_are_refused_can_be_corrected(client: httpx2.AsyncClient, system: System) -> None:
    upload, other = await begin(client, 6), await begin(client, 3)
    first, second = await added(client, upload, b"one", b"two")
    (foreign,) = await added(client, other, b"one")
    before = blobs(system)
    md5 = hashlib.md5(b"onetwo").hexdigest()

    says(await complete(client, upload, [first]), "The parts have 3 bytes together, but 'bytes' of", "part_ids")
    says(await complete(client, upload, [first, second, first]), "named once", "part_ids")
    says(await complete(client, upload, [first, foreign]), "has no part with id", "part_ids[1]")
    says(await complete(client, upload, [first, "part_none"]), "has no part with id 'part_none'", "part_ids[1]")
    says(await complete(client, upload, [first, second], md5="abc"), "does not match pattern", "md5")
    says(await complete(client, upload, [second, first], md5=md5), "MD5 checksum", "md5")
    assert not blobs(system) - before
    assert (await complete(client, upload, [first, second], md5=md5.upper())).status_code == 200


async def test_an_upload_that_is_over_stays_as_it_is(client: httpx2.AsyncClient, project: Project) -> None:
    completed, cancelled = await begin(client, 1), await begin(client, 1)
    (part,) = await added(client, completed, b"x")
    (given_up,) = await added(client, cancelled, b"x")
    assert (await complete(client, completed, [part])).status_code == 200
    answer = await client.post(f"/uploads/{cancelled}/cancel")
    assert (answer.json()["status"], answer.json()["file"]) == ("cancelled", None)

    for upload, used, status in ((completed, part, "completed"), (cancelled, given_up, "cancelled")):
        sentence = f"Upload {upload} is {status}; only a pending upload can be changed."
        says(await add(client, upload, b"x"), sentence)
        says(await complete(client, upload, [used]), sentence)
        says(await client.post(f"/uploads/{upload}/cancel"), sentence)
    assert len((await project.client.files.list()).data) == 1


async def test_many_that_complete_make_one_file(client: httpx2.AsyncClient, project: Project, system: System) -> None:
    upload = await begin(client, 3 * MEGABYTE)
    parts = await added(client, upload, *[bytes([letter]) * MEGABYTE for letter in b"abc"])

    answers = await asyncio.gather(*(complete(client, upload, parts) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400, 400]
    (file,) = (await project.client.files.list()).data
    assert (await project.client.files.content(file.id)).content == b"".join(
        bytes([letter]) * MEGABYTE for letter in b"abc"
    )
    mine = set(parts)
    await until(lambda: not mine & blobs(system))


async def test_parts_are_bounded(client: httpx2.AsyncClient, system: System) -> None:
    upload = await begin(client, 1)
    before = blobs(system)

    whole = await add(client, upload, bytes(limits.UPLOAD_PART_BYTES))
    more = await add(client, upload, bytes(limits.UPLOAD_PART_BYTES + 1))
    much_more = await add(client, upload, bytes(limits.UPLOAD_PART_BYTES + 2 * MEGABYTE))

    assert whole.status_code == 200
    says(more, f"A part may have at most {limits.UPLOAD_PART_BYTES} bytes.", "data", 413)
    assert much_more.status_code == 413
    assert blobs(system) - before == {whole.json()["id"]}


@pytest.mark.parametrize(
    "counters", [f"received = {limits.UPLOAD_PARTS_BYTES - 1}", f"parts = {limits.UPLOAD_PARTS - 1}"]
)
async def test_parts_are_bounded_together(client: httpx2.AsyncClient, system: System, counters: str) -> None:
    upload = await begin(client, 1)
    system.query(f"UPDATE uploads SET {counters} WHERE id = %s", upload)

    answers = await asyncio.gather(*(add(client, upload, b"x") for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]
    says(max(answers, key=lambda answer: answer.status_code), f"Upload {upload} can't take this part", "data")
    (kept,) = system.query("SELECT id FROM upload_parts WHERE upload_id = %s", upload)[0]
    assert {name for name in blobs(system) if name.startswith("part_")} >= {kept}


async def test_a_part_without_bytes_of_its_own_is_refused(client: httpx2.AsyncClient) -> None:
    upload = await begin(client, 1)

    path = f"/uploads/{upload}/parts"
    says(await client.post(path, files={"file": ("part", b"x")}), "Missing required parameter: 'data'.", "data")
    says(await client.post(path, files={"data": (None, "text")}), "expected a file, but got a string", "data")
    says(await client.post(path, json={"data": "x"}), "only accepts 'multipart/form-data' requests")
    two = {"data": ("part", b"x"), "colour": (None, "red")}
    says(await client.post(path, files=two), "Unknown parameter: 'colour'.", "colour")


async def test_uploads_of_others_are_not_there(client: httpx2.AsyncClient, system: System) -> None:
    upload = await begin(client, 1)
    (part,) = await added(client, upload, b"x")
    async with Project.of(system) as stranger, http.session(stranger) as session:
        own = await begin(session, 1)
        for answer in (
            await add(session, upload, b"x"),
            await complete(session, upload, [part]),
            await session.post(f"/uploads/{upload}/cancel"),
        ):
            says(answer, f"No upload found with id '{upload}'.", status=404)
        says(await complete(session, own, [part]), "has no part with id", "part_ids[0]")
    says(await add(client, "file-x", b"x"), "Expected an ID that begins with 'upload'.", "upload_id")
    assert (await complete(client, upload, [part])).status_code == 200


async def test_uploads_under_a_key(client: httpx2.AsyncClient, project: Project) -> None:
    """Each of the four is carried out once, however often it is sent."""

    async def twice(path: str, body: Any, key: str) -> Any:
        first = await client.post(path, json=body, headers={"idempotency-key": key})
        again = await client.post(path, json=body, headers={"idempotency-key": key})
        assert first.status_code == again.status_code == 200, (first.text, again.text)
        assert first.json() == again.json()
        return first.json()

    body = {"filename": "a.txt", "purpose": "assistants", "bytes": 3, "mime_type": "text/plain"}
    upload = (await twice("/uploads", body, "create"))["id"]
    parts = [(await add(client, upload, b"one", "part")).json() for _ in range(2)]
    assert parts[0] == parts[1]
    assert (await add(client, upload, b"two", "part")).status_code == 400
    done = await twice(f"/uploads/{upload}/complete", {"part_ids": [parts[0]["id"]]}, "complete")
    other = (await twice("/uploads", body, "another"))["id"]
    assert (await twice(f"/uploads/{other}/cancel", {}, "cancel"))["status"] == "cancelled"
    assert (await project.client.files.content(done["file"]["id"])).content == b"one"
    assert len((await project.client.files.list()).data) == 1


async def test_a_refused_completion_under_a_key_may_be_corrected(client: httpx2.AsyncClient) -> None:
    upload = await begin(client, 6)
    first, second = await added(client, upload, b"one", b"two")
    path, headers = f"/uploads/{upload}/complete", {"idempotency-key": "k"}

    refused = await client.post(path, json={"part_ids": [first]}, headers=headers)
    corrected = await client.post(path, json={"part_ids": [first, second]}, headers=headers)

    assert (refused.status_code, corrected.status_code) == (400, 200)


async def test_expired_uploads_are_refused_then_forgotten(client: httpx2.AsyncClient, system: System) -> None:
    upload = await begin(client, 1)
    (part,) = await added(client, upload, b"x")
    system.query("UPDATE uploads SET expires_at = now() WHERE id = %s", upload)

    sentence = f"Upload {upload} is expired; only a pending upload can be changed."
    says(await add(client, upload, b"x"), sentence)
    says(await complete(client, upload, [part]), sentence)
    says(await client.post(f"/uploads/{upload}/cancel"), sentence)
    assert part in blobs(system)

    system.query("UPDATE uploads SET parts_due_at = now() WHERE id = %s", upload)
    await until(lambda: system.query("SELECT status FROM uploads WHERE id = %s", upload) == [("expired",)])
    assert part not in blobs(system)
    assert system.query("SELECT count(*) FROM upload_parts WHERE upload_id = %s", upload) == [(0,)]
    says(await complete(client, upload, [part]), sentence)

    system.query("UPDATE uploads SET expires_at = now() - interval '25 hours' WHERE id = %s", upload)
    await until(lambda: not system.query("SELECT id FROM uploads WHERE id = %s", upload))
    says(await add(client, upload, b"x"), f"No upload found with id '{upload}'.", status=404)


async def test_parts_of_an_upload_that_is_over_are_forgotten(client: httpx2.AsyncClient, system: System) -> None:
    upload = await begin(client, 1)
    parts = set(await added(client, upload, *[b"x"] * 5))

    await client.post(f"/uploads/{upload}/cancel")

    await until(lambda: not parts & blobs(system))
    await until(lambda: system.query("SELECT parts_due_at FROM uploads WHERE id = %s", upload) == [(None,)])


async def test_a_part_whose_bytes_are_gone_is_named(client: httpx2.AsyncClient, system: System) -> None:
    upload = await begin(client, 2)
    first, second = await added(client, upload, b"1", b"2")
    (blob,) = await asyncio.to_thread(lambda: list((system.root / "data" / "files").rglob(second)))
    await asyncio.to_thread(blob.unlink)
    before = blobs(system)

    says(await complete(client, upload, [first, second]), f"The bytes of part {second} are gone.", "part_ids")

    assert not blobs(system) - before


async def test_a_connection_that_breaks_leaves_the_upload_as_it_was(project: Project, system: System) -> None:
    async with http.session(project) as client:
        upload = await begin(client, 3)
        before = blobs(system)

        async def broken() -> AsyncIterator[bytes]:
            yield b'--x\r\ncontent-disposition: form-data; name="data"; filename="p"\r\n\r\n' + b"x" * MEGABYTE
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await client.post(
                f"/uploads/{upload}/parts",
                content=broken(),
                headers={"content-type": "multipart/form-data; boundary=x"},
            )
        (part,) = await added(client, upload, b"one")

        assert blobs(system) - before == {part}
        assert (await complete(client, upload, [part])).status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the most memory that a process had")
async def test_many_bytes_are_not_held(client: httpx2.AsyncClient, system: System) -> None:
    """The API process doesn't grow by what it puts together."""
    upload = await begin(client, 4 * limits.UPLOAD_PART_BYTES)
    parts = [(await add(client, upload, bytes(limits.UPLOAD_PART_BYTES))).json()["id"] for _ in range(4)]
    (api,) = (process.popen.pid for process in system.processes if process.log.name.startswith("api"))
    peak = Path(f"/proc/{api}/status")

    def resident() -> int:
        (line,) = (line for line in peak.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    before = resident()
    assert (await complete(client, upload, parts)).status_code == 200

    assert resident() - before < limits.UPLOAD_PART_BYTES / 2
