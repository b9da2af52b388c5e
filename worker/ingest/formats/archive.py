"""Packages that are zip files: looked at before anything is unpacked."""

import zipfile
from typing import BinaryIO

from worker.ingest.document import Unreadable
from worker.ingest.formats.limits import UNPACKED_BYTES, UNPACKED_MEMBERS, UNPACKED_RATIO, UNSUSPECTED_BYTES

_ENCRYPTED = 0x1


def check_package(file: BinaryIO) -> None:
    """Make sure that the package is no bomb and can be opened; the file is left at its beginning. Raises Unreadable.

    The sizes are those that the package states. Whoever unpacks gets no more than that, whatever is in it.
    """
    with zipfile.ZipFile(file) as package:
        members = package.infolist()
    packed = file.seek(0, 2)
    file.seek(0)
    unpacked = sum(member.file_size for member in members)
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise Unreadable("invalid_file", "The file is protected with a password. Save it without, and try again.")
    if len(members) > UNPACKED_MEMBERS:
        raise Unreadable("invalid_file", f"The file is a package of {len(members)}, which is more than can be read.")
    if unpacked > UNPACKED_BYTES or (unpacked > UNSUSPECTED_BYTES and unpacked > packed * UNPACKED_RATIO):
        message = f"The file has {packed} bytes and would have {unpacked} when unpacked, which is more than is read."
        raise Unreadable("invalid_file", message)
