"""The image as it ships: what is in it, and that it pays under the restrictions of Compose."""

import json
import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import httpx
import pytest

from adapters.signer.keyfile import write_key_file
from config import VERSION
from devnet.process import free_port
from tests.e2e.kit import (
    TIMEOUT_SECONDS,
    WALLET_KEY,
    WALLET_SECRET,
    Service,
    World,
    completed,
    create,
    order,
    spilled,
    until,
)
from tests.image.engine import (
    PYTHON,
    USER_ID,
    Container,
    build,
    compose_service,
    obstacle,
    podman,
    restrictions,
    volumes,
)

NET_BIND_SERVICE = 1 << 10  # <linux/capability.h>

LARGEST = 180_000_000
"""Bytes, unpacked."""

TOOLS = {"apt", "apt-get", "bash", "busybox", "cc", "dash", "dpkg", "gcc", "ld", "make", "pip"} | {
    *("pip3", "sh", "uvicorn", "wget", "curl")
}

WRITE = """
import errno
try:
    open("{}/something", "w")
    print("written")
except OSError as error:
    print(errno.errorcode[error.errno])
"""

EXECUTE = """
import errno, os, shutil
shutil.copy("/usr/local/bin/python3.12", "/tmp/program")
try:
    os.execv("/tmp/program", ["program", "-V"])
except OSError as error:
    print(errno.errorcode[error.errno])
"""

if why := obstacle():
    pytest.skip(f"the image is not tested here: {why}", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("image")


# ---- what is in it ----


@pytest.fixture(scope="module")
def files(image: str, tmp_path_factory: pytest.TempPathFactory) -> list[tarfile.TarInfo]:
    """Everything that is in the image."""
    archive = tmp_path_factory.mktemp("image") / "files.tar"
    name = podman("create", image).stdout.strip()
    try:
        podman("export", f"--output={archive}", name)
    finally:
        podman("rm", name)
    with tarfile.open(archive) as content:
        return content.getmembers()


def test_it_is_small(files: list[tarfile.TarInfo]) -> None:
    assert sum(file.size for file in files) <= LARGEST


def test_nothing_but_the_service_is_in_it(files: list[tarfile.TarInfo]) -> None:
    paths = [PurePosixPath(file.name) for file in files]
    assert not {path.name for path in paths if path.parent.name in ("bin", "sbin")} & TOOLS
    folders = {path.name for path in paths if path.is_relative_to("app") or "lib" in path.parts}
    assert folders.isdisjoint({"tests", "test", "devnet", "pip", "ensurepip", "image", "bench"})
    assert {path.name for path in paths if path.parent == PurePosixPath("app")} == {
        *(".marker", "__pycache__", "logs"),
        *(
            "adapters",
            "api",
            "config",
            "models",
            "ports",
            "services",
            "settings",
            "utils",
            "workers",
        ),
        *("config.py", "payout_router_entrypoint.py", "payout_router_main.py"),
    }


def test_all_code_is_compiled_and_belongs_to_root(files: list[tarfile.TarInfo]) -> None:
    ours = [file for file in files if file.name.startswith(("app/", "opt/", "usr/local/"))]
    sources = [PurePosixPath(file.name) for file in ours if file.name.endswith(".py")]
    compiled = {PurePosixPath(file.name) for file in ours if file.name.endswith(".pyc")}
    assert len(sources) > 1000
    tag = re.search(r"\.cpython-\d+\.pyc$", next(iter(compiled)).name)
    assert tag
    wanted = {path.parent / "__pycache__" / (path.stem + tag[0]) for path in sources}
    assert len(wanted - compiled) <= 5, "templates that are no valid Python"
    assert {(file.uid, file.gid) for file in ours if file.name != "app/logs"} == {(0, 0)}
    assert not [file.name for file in ours if not file.issym() and file.mode & 0o022]


def test_what_it_declares(image: str) -> None:
    (found,) = json.loads(podman("image", "inspect", image).stdout)
    config = found["Config"]
    assert config["User"] == f"{USER_ID}:{USER_ID}"
    assert config.get("Entrypoint") in (None, [])
    assert config["Cmd"] == [PYTHON, "payout_router_entrypoint.py"]
    assert config["WorkingDir"] == "/app"
    assert not config.get("ExposedPorts")
    assert {line.partition("=")[0] for line in config["Env"]} == {"PATH", "SSL_CERT_FILE"}
    assert config["Labels"]["org.opencontainers.image.version"] == VERSION
    health = found.get("Healthcheck") or config["Healthcheck"]
    assert health["Test"] == compose_service()["healthcheck"]["test"]


def test_it_finds_out_what_was_lost(image: str, tmp_path: Path) -> None:
    look = ("run", "--rm", "--network=none")
    check = (image, PYTHON, "/opt/venv/check.py")
    assert re.fullmatch(r"Python 3\.12\.\d+: all \d+ import\n", podman(*look, *check).stdout)
    (tmp_path / "empty.py").touch()
    changed = f"--volume={tmp_path / 'empty.py'}:/app/models/money.py:ro"
    run = podman(*look, changed, *check, check=False)
    assert run.returncode == 1
    assert "/app: built with" in run.stdout


# ---- running it ----


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, mongodb_url: str) -> Iterator[World]:
    """Two databases and a devnet for the containers."""
    with World(tmp_path_factory.mktemp("image-world"), mongodb_url) as world:
        yield world


@contextmanager
def running(world: World, folder: Path, **more: str) -> Iterator[tuple[Container, Service]]:
    """A container as Compose runs it, with its key in a volume, and its API."""
    environment = world.environment(
        LOG_DIR="/app/logs",
        PAYMENT_SYSTEMS_DIR="/data/payment-systems",
        PAYOUTS_DIR="/data/payouts",
        BATCHES_DIR="/data/batches",
        **more,
    )
    del environment["TRON_PRIVATE_KEY"]  # a sealed key instead
    config_dir, environment["CONFIG_DIR"] = environment["CONFIG_DIR"], "/config"
    declared = compose_service()
    mounted = [f"--volume={config_dir}:/config:ro", *volumes(declared, folder)]
    key = write_key_file(bytes.fromhex(WALLET_KEY), WALLET_SECRET, folder / "data-keys")
    os.chown(key, USER_ID, USER_ID)
    service = Service("the image", folder / "unused.log", environment)
    with Container([*restrictions(declared), *mounted], environment) as container:
        until(lambda: is_healthy(service), container.log)
        yield container, service


def is_healthy(service: Service) -> bool:
    try:
        return service.is_healthy()
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_pays_and_stops_under_the_restrictions_of_compose(
    world: World, tmp_path: Path, workers: str
) -> None:
    with running(world, tmp_path, WORKERS=workers) as (container, service):
        body = order(amount="12.5")
        with service.api() as api:
            (done,) = completed(api, [create(api, body, f"workers-{workers}")])
        assert done["status"] == "completed"
        assert world.paid(body["recipient_address"]) == 1
        assert container.health_check() == 0
        check_confinement(container)
        assert container.stop(TIMEOUT_SECONDS + 5) == 0
        log = container.log()
    written = (tmp_path / "app-logs" / "tron-payout-router.log").read_text(encoding="utf-8")
    for text in (log, written):
        assert text.count('"loops have ended"') == int(workers)
        assert not spilled(text)


def check_confinement(container: Container) -> None:
    """It is who it should be, may nothing, and finds no place to write or run a program."""
    status = container.status()
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(USER_ID)}
    assert int(status["CapBnd"], 16) == NET_BIND_SERVICE
    assert int(status["CapEff"], 16) in (0, NET_BIND_SERVICE)  # podman hands it on, Docker doesn't
    assert status["NoNewPrivs"] == "1"
    assert container.python("import os; print(os.getpid() > 1, os.readlink('/proc/1/exe'))") == (
        "True /usr/local/bin/python3.12"
    )
    for folder in ("/", "/app", "/data", "/data/keys", "/opt/venv", "/usr/local/bin"):
        assert container.python(WRITE.format(folder)) in ("EACCES", "EROFS"), folder
    assert container.python(WRITE.format("/tmp")) == "written"  # noqa: S108
    assert container.python(EXECUTE) == "EACCES"
    for shell in ("sh", "/bin/sh", "bash", "/busybox/sh"):
        assert container.execute(shell, "-c", "true").returncode != 0


def test_its_health_check_fails_where_nothing_is_served(world: World) -> None:
    environment = world.environment()
    waiting = (PYTHON, "-c", "import signal; signal.pause()")
    with Container(environment=environment, command=waiting) as idle:
        assert idle.health_check() == 1


def test_without_its_environment_it_says_all_that_is_missing(image: str) -> None:
    run = podman("run", "--rm", "--network=none", "--read-only", image, check=False)
    assert run.returncode == 78
    found = re.findall(r"^  - (\w+)", run.stderr, re.MULTILINE)
    assert {"MONGODB_URL", "REDIS_URL", "JWT_SECRET_KEY", "WALLET_ENCRYPTION_KEY"} <= set(found)


def test_the_devnet_is_an_image_of_its_own(image: str) -> None:
    devnet = build("localhost/tron-payout-router-devnet:test", "--target=devnet")
    port = free_port()
    command = (PYTHON, "-m", "devnet", "--port", str(port))
    with Container(["--read-only"], image=devnet, command=command) as container:
        state = until(partial(state_of_devnet, port), container.log)
        assert state["head"]["number"] > 0


def state_of_devnet(port: int) -> dict[str, Any]:
    try:
        found: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port}/devnet/state").json()
    except httpx.TransportError:
        return {}
    return found
