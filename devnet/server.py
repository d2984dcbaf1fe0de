"""Serving a devnet over TCP: one port for each endpoint, and blocks at every tick."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from devnet.http import ABORT_EXTENSION, EndpointApp
from devnet.network import Network


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP, which also offers the application to cut the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # asyncio sets it on sockets that name TCP as their protocol; create_server's don't.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        transport = self.transport
        self.scope["extensions"] = {ABORT_EXTENSION: transport.abort}  # type: ignore[dict-item]


class _Server(uvicorn.Server):
    """A server that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    net: Network, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[tuple[str, ...]]:
    """Serve every endpoint (the first on `port`, the next on port + 1, …; with port 0 on free ones)
    and make blocks every `tick_ms`. Yields the URLs; ends everything on leaving.

    Raises OSError where a port is taken.
    """
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server((host, port + place if port else 0)))
            for place in range(len(net.nodes))
        ]
        servers = [_server(EndpointApp(net, node)) for node in net.nodes]
        async with asyncio.TaskGroup() as tasks:
            for server, listener in zip(servers, sockets, strict=True):
                tasks.create_task(server.serve(sockets=[listener]))
            ticker = tasks.create_task(_tick(net)) if net.settings.tick_ms else None
            try:
                yield tuple(f"http://{host}:{s.getsockname()[1]}" for s in sockets)
            finally:
                if ticker is not None:
                    ticker.cancel()
                for server in servers:
                    server.should_exit = True


def _server(app: EndpointApp) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            http=_Protocol,
            lifespan="off",
            log_level="error",
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
    )


async def _tick(net: Network) -> None:
    """Make a block every tick. Where a tick is as long as a block, chain time follows the wall
    clock and catches up after a pause.
    """
    tick, interval = net.settings.tick_ms or 0, net.settings.block_interval_ms
    while True:
        delay = tick
        if tick == interval:
            delay = min(max(net.chain.next_timestamp() - _now_ms(), 0), tick)
        await asyncio.sleep(delay / 1_000)
        net.mine(1, _now_ms() if tick == interval else None)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
