"""Clients that ask as fast as they are answered: raw sockets, so that they cost less than they ask.

They run in a process of their own, and only against this host.
"""

import asyncio
import itertools
import json
import multiprocessing
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Self

from devnet.process import HOST

LONGEST_SECONDS = 300.0
"""After which the clients stop by themselves."""


@dataclass
class Answers:
    """What the clients got: how many answers of each status, and the payouts that were accepted."""

    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    broken: int = 0

    def note(self, status: int, body: bytes) -> None:
        """Count an answer."""
        said = json.loads(body)
        self.statuses[status] += 1
        if status == 201:
            self.accepted.append(said["payout_id"])
        elif "code" in said:
            self.codes[said["code"]] += 1


def request(method: str, path: str, token: str, body: dict[str, Any] | None = None) -> bytes:
    """The bytes of a request."""
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


class Hammer:
    """Clients in another process: they go, or rest, and at the end tell what they got."""

    def __init__(self, port: int, clients: Sequence[Sequence[bytes]]) -> None:
        """Each of the clients sends its requests in turn, over a connection of its own."""
        self.answers = Answers()
        self._line, there = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_process, args=(port, clients, there), daemon=True)

    async def __aenter__(self) -> Self:
        self._process.start()
        await asyncio.to_thread(self._line.recv)
        return self

    def go(self) -> None:
        """Ask, as fast as there are answers."""
        self._line.send("go")

    def rest(self) -> None:
        """Take the answers that are still to come, and wait."""
        self._line.send("rest")

    async def __aexit__(self, *_: object) -> None:
        self._line.send("end")
        with suppress(EOFError):
            self.answers = await asyncio.to_thread(self._line.recv)
        self._process.terminate()
        self._process.join()


def _process(port: int, clients: Sequence[Sequence[bytes]], line: Connection) -> None:
    asyncio.run(_hammer_all(port, clients, line))


async def _hammer_all(port: int, clients: Sequence[Sequence[bytes]], line: Connection) -> None:
    answers, going = Answers(), asyncio.Event()
    tasks = [asyncio.create_task(_hammer(port, each, going, answers)) for each in clients]
    line.send("ready")
    with suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_SECONDS):
            while (word := await asyncio.to_thread(line.recv)) != "end":
                going.set() if word == "go" else going.clear()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    line.send(answers)


async def _hammer(
    port: int, requests: Sequence[bytes], going: asyncio.Event, answers: Answers
) -> None:
    """Send the requests in turn over one connection, for ever; a new one when it is broken."""
    turns = itertools.cycle(requests)
    while True:
        try:
            reader, writer = await asyncio.open_connection(HOST, port)
            while await going.wait():
                writer.write(next(turns))
                answers.note(*await _answer(reader))
        except (OSError, asyncio.IncompleteReadError):
            answers.broken += 1


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return int(head[9:12]), await reader.readexactly(int(length))
