"""The two databases as Compose starts them: confined, and closed to whoever has no password.

Needs podman and their images, which are taken as they are here and never pulled.
"""

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from tests.deploy.environment import loaded
from tests.deploy.test_compose import SUPPORT, parsed
from tests.e2e.kit import LOOK_SECONDS
from tests.image.engine import podman, restrictions


def obstacle() -> str:
    """Why they can't be run here, in one line; empty if they can."""
    if shutil.which("podman") is None:
        return "podman is not installed"
    for name in ("lucid-mongodb", "lucid-redis"):
        image = parsed(SUPPORT, loaded())["services"][name]["image"]
        if podman("image", "exists", image, check=False).returncode:
            return f"the image {image} is not here"
    run = podman("run", "--rm", "--pull=never", image, "true", check=False)
    return f"podman runs no container: {run.stderr.splitlines()[-1]}" if run.returncode else ""


REASON = obstacle()
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"databases left out: {REASON}")


PATIENCE_SECONDS = 240.0
"""How long a start may take: mongosh alone needs seconds of a processor, each time."""


class Database:
    """A running database container."""

    def __init__(self, name: str, service: Mapping[str, Any]) -> None:
        self.name = name
        self._test = service["healthcheck"]["test"]

    def run(self, *words: str) -> tuple[int, str]:
        """Run a program inside: its exit code and what it said."""
        run = podman("exec", self.name, *words, check=False)
        return run.returncode, run.stdout + run.stderr

    def is_healthy(self) -> bool:
        """What the health check of the Compose file says."""
        kind, *words = self._test
        command = words if kind == "CMD" else ["sh", "-c", words[0].replace("$$", "$")]
        return self.run(*command)[0] == 0

    def wait(self, look: Callable[[], bool]) -> None:
        """Return when what is looked for is so; fails after PATIENCE_SECONDS."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not look():
            assert time.monotonic() < deadline, self.log()
            time.sleep(LOOK_SECONDS)

    def log(self) -> str:
        """What it wrote to standard output and error."""
        run = podman("logs", self.name)
        return run.stdout + run.stderr

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        podman("stop", "--time=30", self.name)
        return int(podman("inspect", "--format={{.State.ExitCode}}", self.name).stdout)


@contextmanager
def started(name: str, environ: Mapping[str, str], *options: str) -> Iterator[Database]:
    """The service of that name as Compose would run it, alone in its network."""
    service = parsed(SUPPORT, environ)["services"][name]
    variables: dict[str, str] = service["environment"]
    container = f"{name}-test-{uuid.uuid4().hex[:12]}"
    command = [word.replace("$$", "$") for word in service["command"]]
    confined = restrictions({"cap_add": (), **service})
    alone = ("--network=none", f"--hostname={service['hostname']}")
    try:
        podman(
            *("run", "--detach", "--pull=never", *alone),
            *(f"--name={container}", *confined, *options, *(f"--env={one}" for one in variables)),
            *(service["image"], *command),
            **variables,
        )
        yield Database(container, service)
    finally:
        podman("rm", "--force", "--ignore", "--time=0", container)


# ---- MongoDB ----


@pytest.fixture
def volume() -> Iterator[str]:
    """A volume for the data, gone at the end."""
    name = f"lucid-mongodb-test-{uuid.uuid4().hex[:12]}"
    podman("volume", "create", name)
    yield name
    podman("volume", "rm", "--force", name)


@contextmanager
def mongodb(environ: Mapping[str, str], volume: str) -> Iterator[Database]:
    """MongoDB over that volume, after it was prepared."""
    scripts = f"--volume={SUPPORT.parent / 'mongodb'}:/opt/lucid:ro"
    with started("lucid-mongodb", environ, f"--volume={volume}:/data/db", scripts) as database:
        database.wait(lambda: "its user are ready" in database.log())
        yield database


TRY = """
const refusals = {};
function attempt(name, action) {
  try { action(); refusals[name] = ""; } catch (error) { refusals[name] = error.message; }
}
function insert(db) {
  db.payouts.insertOne({}, {writeConcern: {w: "majority", j: true}});
}
attempt("own", () => insert(db));
attempt("devnet's", () => insert(db.getSiblingDB("payout_router_devnet")));
attempt("another", () => insert(db.getSiblingDB("another")));
attempt("shutdown", () => db.adminCommand({shutdown: 1}));
attempt("nobody", () => insert(connect("mongodb://lucid-mongodb/payout_router")));
print(JSON.stringify({refusals, payouts: db.payouts.countDocuments()}));
"""


def test_mongodb_lets_the_service_in_and_nobody_else_and_takes_a_new_password_over(volume):
    before = loaded()
    new = loaded()["MONGODB_PASSWORD"]
    url = before["MONGODB_URL"].replace(before["MONGODB_PASSWORD"], new)
    with mongodb(before, volume) as database:
        assert database.is_healthy()
        code, said = database.run("mongosh", "--quiet", before["MONGODB_URL"], "--eval", TRY)
        assert code == 0, said
        refusals = json.loads(said)["refusals"]
        assert refusals["own"] == refusals["devnet's"] == ""
        assert all("not authorized" in refusals[name] for name in ("another", "shutdown"))
        assert "requires authentication" in refusals["nobody"]
        assert all(before[name] not in database.log() for name in before if "PASSWORD" in name)
        assert database.stop() == 0
    with mongodb({**before, "MONGODB_PASSWORD": new}, volume) as database:
        code, said = database.run("mongosh", "--quiet", url, "--eval", TRY)
        assert code == 0, said
        assert json.loads(said)["payouts"] == 2
        old = database.run("mongosh", "--quiet", before["MONGODB_URL"], "--eval", TRY)
        assert old[0] != 0
        assert "Authentication failed" in old[1]


# ---- Redis ----


def test_redis_asks_for_a_password_that_nobody_sees():
    environ = loaded()
    with started("lucid-redis", environ) as database:
        database.wait(database.is_healthy)
        assert "NOAUTH" in database.run("redis-cli", "ping")[1]
        _, processes = database.run("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
        assert "redis-server" in processes
        assert environ["REDIS_PASSWORD"] not in processes
        settings = 'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli config get save'
        assert database.run("sh", "-c", settings)[1].split() == ["save"]
        assert database.stop() == 0
