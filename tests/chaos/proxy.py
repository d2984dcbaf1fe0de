"""A TCP proxy that spoils what goes through it: a process of its own in front of one endpoint.

`python -m tests.chaos.proxy PORT TARGET_PORT MODE_FILE`. The mode is the content of a file, looked
at for every piece of data, so that it outlives a killed proxy and reaches open connections.
"""

import asyncio
import os
import random
import socket
import struct
import sys
from collections import Counter
from collections.abc import Mapping
from enum import Enum, auto
from pathlib import Path

from devnet.process import HOST, Server, free_port
from devnet.stack import ROOT

PIECE_BYTES = 65_536
LATE_SECONDS = (0.05, 0.6)
RESET_AT_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: closing the socket sends a reset."""


class Fate(Enum):
    """What becomes of a piece of data."""

    FORWARDED = auto()
    LATE = auto()
    DROPPED = auto()
    RESET = auto()


MODES: Mapping[str, tuple[Fate, Fate]] = {
    "pass": (Fate.FORWARDED, Fate.FORWARDED),
    "delay": (Fate.LATE, Fate.LATE),
    "reset": (Fate.RESET, Fate.RESET),
    "black hole": (Fate.DROPPED, Fate.DROPPED),
    "cut after the request": (Fate.FORWARDED, Fate.RESET),
}
"""Mode → what becomes of requests, and of answers."""


class Proxy(Server):
    """The proxy in front of a port, as a server that can be killed and paused like the others."""

    def __init__(self, folder: Path, target_port: int) -> None:
        """`folder` gets its log and its mode."""
        name = f"proxy-{target_port}"
        port = free_port()
        self._mode = folder / f"{name}.mode"
        command = [sys.executable, "-m", "tests.chaos.proxy"]
        arguments = [str(port), str(target_port), str(self._mode)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        super().__init__(name, [*command, *arguments], folder / f"{name}.log", port, env)
        self.behave("pass")

    def is_ready(self) -> bool:
        """It listens, which is all there is to it."""
        return True

    def behave(self, mode: str) -> None:
        """From now on: one of MODES."""
        draft = self._mode.with_suffix(".new")
        draft.write_text(mode, encoding="utf-8")
        draft.rename(self._mode)

    def spoiled(self) -> Counter[str]:
        """How many pieces of data met which fate but being forwarded, over all restarts."""
        words = self.log.read_text(encoding="utf-8").split()
        return Counter(word for word in words if word in Fate.__members__)


def fate_now(mode: Path, place: int) -> Fate:
    """What becomes of a piece of data, by the mode of this moment."""
    return MODES[mode.read_text(encoding="utf-8")][place]


class Wire:
    """One connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, node: asyncio.StreamWriter) -> None:
        """The two ends to write to."""
        self._ends = (client, node)

    async def pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, mode: Path, place: int
    ) -> None:
        """Hand on what comes, by the mode of the moment; `place` is the direction in MODES."""
        while data := await source.read(PIECE_BYTES):
            fate = fate_now(mode, place)
            if fate is not Fate.FORWARDED:
                print(fate.name, flush=True)  # for `Proxy.spoiled`
            if fate is Fate.RESET:
                self.reset()
                return
            if fate is Fate.LATE:
                await asyncio.sleep(random.uniform(*LATE_SECONDS))  # noqa: S311 - no secret
            if fate is not Fate.DROPPED:
                sink.write(data)
                await sink.drain()

    def reset(self) -> None:
        """Break both ends off with a TCP reset."""
        for end in self._ends:
            connection = end.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            end.transport.abort()


async def serve(port: int, target_port: int, mode: Path) -> None:
    """Serve until the process ends."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            node_reader, node_writer = await asyncio.open_connection(HOST, target_port)
        except OSError:
            writer.transport.abort()
            return
        wire = Wire(writer, node_writer)
        pumps = [
            asyncio.create_task(wire.pump(reader, node_writer, mode, 0)),
            asyncio.create_task(wire.pump(node_reader, writer, mode, 1)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for end in (writer, node_writer):
            end.close()

    server = await asyncio.start_server(connected, HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
