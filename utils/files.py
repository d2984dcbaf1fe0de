"""Folders that the process was given, and files that are there whole or not at all."""

import os
import stat
import uuid
from pathlib import Path


def folder_fault(folder: Path, access: int) -> str:
    """Why this process can't use a folder, for people; empty if it can.

    `access` is `os.R_OK` or `os.W_OK`, or both; going into it is always needed.
    """
    try:
        found = folder.stat()
        read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError as error:
        return f"{folder}: {(error.strerror or str(error)).lower()}"
    if not stat.S_ISDIR(found.st_mode):
        return f"{folder}: not a folder"
    if read_only and access & os.W_OK:
        return f"{folder}: read-only file system"
    if not os.access(folder, access | os.X_OK, effective_ids=True):
        return f"{folder}: mode {found.st_mode & 0o777:o} of {found.st_uid}:{found.st_gid}"
    return ""


def temporary_for(path: Path) -> Path:
    """A name beside `path` that nobody else uses, for what will take its place."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}")


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file, made when it is not there. Raises OSError."""
    with path.open("ab") as file:
        file.write(data)


def put_in_place(temporary: Path, path: Path) -> None:
    """Let a file take the place of `path`, durably: after a power cut it is the old or the new one,
    whole. Raises OSError."""
    _sync(temporary)
    temporary.replace(path)
    _sync(path.parent)


def replace(path: Path, data: bytes) -> None:
    """Write a file whole, in the place of the one that was there. Raises OSError."""
    temporary = temporary_for(path)
    try:
        append(temporary, data)
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
