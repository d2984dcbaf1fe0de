"""The shipped image in podman: whether it can be built here, and a container of it that is run as
`configs/docker/docker-compose.support.yml` runs it."""

# ruff: noqa: S603, S607 - podman, without a shell

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from devnet.stack import ROOT

SERVICE = "tron-payout-router"
COMPOSE_FILE = ROOT / "configs" / "docker" / "docker-compose.support.yml"
DOCKERFILE = ROOT / "Dockerfile.payout-router"
IMAGE = "localhost/tron-payout-router:test"
USER_ID = 65532
PYTHON = "/opt/venv/bin/python3"

ENVIRONMENT = {**os.environ, "DISABLE_HC_SYSTEMD": "true"}
"""For podman: the health check is run by hand, with or without systemd's timers."""


def podman(
    *words: str | Path, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run podman; AssertionError with what it said where it fails and should not."""
    run = subprocess.run(
        ["podman", *words],
        env=ENVIRONMENT | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or run.returncode == 0, f"podman {words[0]}: {run.stdout}{run.stderr}"
    return run


def obstacle() -> str:
    """Why the image can't be built and run here, in one line; empty if it can."""
    if shutil.which("podman") is None:
        return "podman is not installed"
    for image in base_images():
        if podman("image", "exists", image, check=False).returncode:
            return f"the base image {image} is not here"
    run = podman("run", "--rm", base_images()[0], "python3", "-V", check=False)
    return f"podman runs no container: {run.stderr.splitlines()[-1]}" if run.returncode else ""


def base_images() -> list[str]:
    """What the Dockerfile builds from: Python's image, and the runtime's."""
    text = DOCKERFILE.read_text(encoding="utf-8")
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    names = re.findall(r"^FROM (\S*\$\S*)", text, re.MULTILINE)
    filled = (re.sub(r"\$\{(\w+)\}", lambda match: defaults[match[1]], name) for name in names)
    return sorted(set(filled))


def build(image: str, *options: str) -> str:
    """Build it, or take what was built of the same files; its name."""
    podman(
        *("build", "--format", "docker", "--network", "host", "-t", image),
        *("-f", DOCKERFILE, *options, ROOT),
    )
    return image


def compose_service() -> dict[str, Any]:
    """The service as the compose file declares it."""
    services = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))["services"]
    found: dict[str, Any] = services[SERVICE]
    return found


def restrictions(service: Mapping[str, Any]) -> list[str]:
    """What a compose service may not do, as options of podman."""
    return [
        f"--user={service['user']}",
        f"--read-only={str(service['read_only']).lower()}",
        f"--memory={service['mem_limit']}",
        f"--pids-limit={service['pids_limit']}",
        *(f"--cap-drop={name}" for name in service["cap_drop"]),
        *(f"--cap-add={name}" for name in service["cap_add"]),
        *(f"--security-opt={option}" for option in service["security_opt"]),
        *(f"--tmpfs={mount}" for mount in service["tmpfs"]),
    ]


def volumes(service: Mapping[str, Any], folder: Path) -> list[str]:
    """The volumes of a compose service with new folders of its user behind them."""
    options = []
    for volume in service["volumes"]:
        target = re.sub(r"^.*?:(?=/)", "", volume.rsplit("}", 1)[-1])
        inside = target.removesuffix(":ro")
        host = folder / inside.strip("/").replace("/", "-")
        host.mkdir(exist_ok=True)
        os.chown(host, USER_ID, USER_ID)
        options.append(f"--volume={host}:{target}")
    return options


class Container:
    """A container in the network of this machine; gone with the block that it is started in."""

    def __init__(
        self,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        image: str = IMAGE,
        command: Sequence[str] = (),
    ) -> None:
        """`environment` is what it gets: nothing of it stands in a command line. `command`
        replaces the image's."""
        self.name = f"tron-payout-router-test-{uuid.uuid4().hex[:12]}"
        self._options = options
        self._environment = dict(environment or {})
        self._image = image
        self._command = command

    def __enter__(self) -> Self:
        names = (f"--env={name}" for name in self._environment)
        options = ("--detach", "--network=host", f"--name={self.name}", *self._options, *names)
        podman("run", *options, self._image, *self._command, **self._environment)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.log())
        podman("rm", "--force", "--time=0", self.name)

    def execute(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program inside."""
        return podman("exec", self.name, *words, check=False)

    def python(self, code: str) -> str:
        """Run Python inside; what it prints."""
        run = self.execute(PYTHON, "-c", code)
        assert run.returncode == 0, run.stderr
        return run.stdout.strip()

    def health_check(self) -> int:
        """Run the image's HEALTHCHECK; its exit code."""
        return podman("healthcheck", "run", self.name, check=False).returncode

    def stop(self, seconds: int) -> int:
        """SIGTERM, and SIGKILL after so many seconds; the exit code."""
        podman("stop", f"--time={seconds}", self.name)
        return int(podman("inspect", "--format={{.State.ExitCode}}", self.name).stdout)

    def log(self) -> str:
        """What it wrote to standard output and error."""
        run = podman("logs", self.name)
        return run.stdout + run.stderr

    def status(self) -> dict[str, str]:
        """/proc/…/status of its first process."""
        pid = podman("inspect", "--format={{.State.Pid}}", self.name).stdout.strip()
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
