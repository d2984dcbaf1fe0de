"""The published figures of the image: `python -m tests.image` (`make test-image`).

Its unpacked size, and the time from `podman run` to the first healthy answer, with MongoDB, Valkey
and TRON nodes that are up, under the restrictions of Compose.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

from devnet.embedded import embedded_mongod
from tests.e2e.kit import LOOK_SECONDS, World
from tests.image.engine import (
    IMAGE,
    Container,
    build,
    compose_service,
    obstacle,
    podman,
    restrictions,
)

RUNS = 5


def main() -> int:
    """Print the figures; the exit code is 1 where there is no image to look at."""
    if why := obstacle():
        print(f"no figures of the image: {why}")
        return 1
    size = int(podman("image", "inspect", "--format={{.Size}}", build(IMAGE)).stdout)
    print(f"unpacked size: {size / 1e6:.0f} MB")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with embedded_mongod(folder / "mongodb") as url, World(folder / "world", url) as world:
            seconds = [seconds_to_healthy(world) for _ in range(RUNS)]
    spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
    print(f"start to first healthy answer: {statistics.median(seconds):.1f} s ({spread} s)")
    return 0


def seconds_to_healthy(world: World) -> float:
    """Start a container, and wait for an answer of /health that says 200."""
    environment = world.environment()
    del environment["CONFIG_DIR"]  # as it ships
    url = f"http://127.0.0.1:{environment['SERVICE_PORT']}/health"
    begun = time.monotonic()
    with Container(restrictions(compose_service()), environment):
        while not is_ok(url):
            time.sleep(LOOK_SECONDS)
        return time.monotonic() - begun


def is_ok(url: str) -> bool:
    """Whether it answers 200."""
    try:
        return httpx.get(url, timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    sys.exit(main())
