"""Mails as they are sent: who wrote what to whom, and what is attached, by name."""

from email import policy
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from io import BytesIO
from itertools import chain
from typing import BinaryIO, cast

from unstructured.partition.html import partition_html

from worker.ingest.document import PARAGRAPH, Outline, Part, Told, clean
from worker.ingest.formats.elements import LANGUAGES, parts

_HEADERS = ("From", "To", "Cc", "Date", "Subject")


def read_email(file: BinaryIO) -> Told:
    """Headers, then the text: the plain one where there are several."""
    mail = BytesParser(policy=policy.default).parse(file)
    outline = Outline()
    if subject := clean(str(mail.get("Subject", ""))).strip():
        outline.enter(0, subject)
    headers = [f"{name}: {clean(str(mail[name]))}\n" for name in _HEADERS if mail[name]]
    return chain([Part("".join(headers) + "\n", None, outline.path)] if headers else [], _body(mail, outline))


def _body(mail: EmailMessage, outline: Outline) -> Told:
    body = mail.get_body(preferencelist=("plain", "html"))
    if body is not None and body.get_content_subtype() == "html":
        page = BytesIO(_content(body).encode())
        yield from parts(partition_html(file=page, encoding="utf-8", languages=LANGUAGES), outline)
    elif body is not None:
        yield Part(_content(body) + PARAGRAPH, None, outline.path)
    if names := [name for part in mail.iter_attachments() if (name := part.get_filename())]:
        yield Part(f"Attached: {clean(', '.join(names))}\n", None, outline.path)


def _content(body: MIMEPart) -> str:
    try:
        text = cast("str", body.get_content())
    except LookupError:  # a charset that nobody knows
        text = cast("bytes", body.get_payload(decode=True)).decode("utf-8", "replace")
    return clean(text).replace("\r\n", "\n")
