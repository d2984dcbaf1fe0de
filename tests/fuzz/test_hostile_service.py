"""A whole service whose first endpoint is hostile: it pays through the second, and stays small."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.kit import QUICK, World, asked, completed, create, order, until
from tests.fuzz.hostile import WAYS, HostileNode

IMPATIENT = {
    **QUICK,
    "payout-router-config.yaml": {
        **QUICK["payout-router-config.yaml"],
        "tron.http.read_timeout_seconds": 1,
        "tron.max_answer_bytes": 4 << 20,
    },
}

MEMORY_MB = 150
"""What the service may grow by: several answers of the largest size at once, and then some."""


@pytest.fixture
def hostile() -> Iterator[tuple[HostileNode, str]]:
    """A hostile node with a thread and a loop of its own, and its URL."""
    node = HostileNode(WAYS["silence"])
    urls: list[str] = []
    loop = asyncio.new_event_loop()
    over = asyncio.Event()
    ready = threading.Event()

    async def serve() -> None:
        async with node.serving() as url:
            urls.append(url)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    yield node, urls[0]
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.close()


def most_memory_mb(pid: int) -> float:
    """The most that a process ever had in memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kilobytes) / 1024


def test_a_hostile_endpoint_does_not_take_the_service_down(
    tmp_path: Path, mongodb_url: str, hostile: tuple[HostileNode, str]
) -> None:
    node, url = hostile
    with World(tmp_path, mongodb_url, IMPATIENT) as world:
        service = world.service(TRON_RPC_URL=f"{url},{world.devnet.url}")
        service.start()
        with service.api() as api:
            payouts = [create(api, order())]
            completed(api, payouts)
            before = most_memory_mb(service.pid)
            for way in ("declared_huge", "endless_headers", "drip", "deep", "another_protocol"):
                node.answer, node.asked = WAYS[way], 0
                payouts.append(create(api, order()))
                until(lambda: node.asked, lambda: way)  # noqa: B023 - called in this turn alone
                done = completed(api, payouts)
            assert most_memory_mb(service.pid) - before < MEMORY_MB
        assert service.health().status_code == 200
        assert service.exit_code is None
        assert sorted(world.transfers()) == asked(done)
