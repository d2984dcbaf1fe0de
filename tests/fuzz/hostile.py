"""A real socket that speaks to the router as no node would."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache

PIECE = b" " * 65_536
HUGE_BYTES = 100_000_000
GZIP = 31
"""zlib's name for the format of gzip."""

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def head(*headers: str) -> bytes:
    """The beginning of a 200."""
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode()


async def declared_huge(writer: asyncio.StreamWriter) -> None:
    """100 MB, and it says so."""
    await write_huge(writer, head(f"Content-Length: {HUGE_BYTES}"), PIECE)


async def endless_chunks(writer: asyncio.StreamWriter) -> None:
    """Chunk after chunk, up to 100 MB."""
    framed = b"%x\r\n%s\r\n" % (len(PIECE), PIECE)
    await write_huge(writer, head("Transfer-Encoding: chunked"), framed)


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    """One header after the other, and never a body."""
    await write_huge(writer, b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 10_000)


async def endless_status(writer: asyncio.StreamWriter) -> None:
    """A first line without an end."""
    await write_huge(writer, b"HTTP/1.1 200 ", b"x" * 65_536)


async def drip(writer: asyncio.StreamWriter) -> None:
    """A byte now and then, always before a read times out."""
    writer.write(head(f"Content-Length: {HUGE_BYTES}"))
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def header_drip(writer: asyncio.StreamWriter) -> None:
    """The same with headers."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def silence(writer: asyncio.StreamWriter) -> None:
    """Nothing, for ever."""
    await asyncio.Event().wait()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Nothing, at once."""


async def half(writer: asyncio.StreamWriter) -> None:
    """Half of what it promised."""
    writer.write(head("Content-Length: 100") + b'{"blockID": ')


async def two_lengths(writer: asyncio.StreamWriter) -> None:
    """Two lengths that contradict each other."""
    writer.write(head("Content-Length: 2", "Content-Length: 4") + b"{}{}")


async def deep(writer: asyncio.StreamWriter) -> None:
    """A million lists within each other."""
    body = b"[" * 1_000_000
    writer.write(head(f"Content-Length: {len(body)}") + body)


async def long_number(writer: asyncio.StreamWriter) -> None:
    """A number of a million digits."""
    body = b"9" * 1_000_000
    writer.write(head(f"Content-Length: {len(body)}") + body)


@cache
def bomb_bytes() -> bytes:
    """100 MB of zeros, compressed twice: less than a kilobyte."""
    packer = zlib.compressobj(9, wbits=GZIP)
    once = b"".join(packer.compress(PIECE) for _ in range(HUGE_BYTES // len(PIECE)))
    return gzip.compress(once + packer.flush())


async def bomb(writer: asyncio.StreamWriter) -> None:
    """A kilobyte that unpacks to 100 MB."""
    body = bomb_bytes()
    writer.write(head("Content-Encoding: gzip, gzip", f"Content-Length: {len(body)}") + body)


async def another_protocol(writer: asyncio.StreamWriter) -> None:
    """Not HTTP at all."""
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n" + bytes(range(256)))


WAYS: Mapping[str, Answer] = {
    way.__name__: way
    for way in (
        declared_huge,
        endless_chunks,
        endless_headers,
        endless_status,
        drip,
        header_drip,
        silence,
        hang_up,
        half,
        two_lengths,
        deep,
        long_number,
        bomb,
        another_protocol,
    )
}
"""Every way to answer that is not an answer."""


async def write_huge(writer: asyncio.StreamWriter, begin: bytes, piece: bytes) -> None:
    """100 MB, as far as the other side reads them."""
    writer.write(begin)
    for _ in range(HUGE_BYTES // len(piece) + 1):
        writer.write(piece)
        await writer.drain()


class HostileNode:
    """Answers every connection in one way; counts the bytes that the other side took."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked = 0
        self._open: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Its URL, for the length of the block."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        task = asyncio.create_task(self._converse(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        await asyncio.wait([task])

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(65_536)
            await self.answer(writer)
            await writer.drain()
        except OSError:
            return
        finally:
            writer.close()
