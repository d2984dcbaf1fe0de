"""Waiting for processes that are not our own children."""

import os
import select
from collections.abc import Sequence
from pathlib import Path

END_SECONDS = 30


def children_of(pid: int) -> list[int]:
    """The processes that this one's main thread started, oldest first."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def watch(pids: Sequence[int]) -> list[int]:
    """Descriptors of running processes, for `all_end`."""
    return [os.pidfd_open(pid) for pid in pids]


def all_end(watched: Sequence[int]) -> bool:
    """Whether each of them ends within END_SECONDS."""
    return all([_ends(descriptor) for descriptor in watched])  # noqa: C419 - close every one


def _ends(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    ended = poll.poll(END_SECONDS * 1000)
    os.close(descriptor)
    return bool(ended)
