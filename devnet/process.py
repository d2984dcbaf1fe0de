"""Servers of the development stack: started, watched, ended by process id, never left behind."""

import atexit
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import ClassVar, Self

import httpx

HOST = "127.0.0.1"
TETHER = Path(__file__).with_name("tether.py")
POLL_SECONDS = 0.05
PORTS = range(20_000, 32_768)
"""Below those that Linux lends to outgoing connections: a port is still there after a restart."""


class StartError(RuntimeError):
    """Something of the stack could not be started; the message is one line for a person."""


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this TCP port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


_held = ExitStack()
atexit.register(_held.close)


def free_port(count: int = 1) -> int:
    """A TCP port of 127.0.0.1, the first of `count` in a row, that nobody has.

    It stays this process's: no other that asks is given it before a server listens there, nor while
    that restarts.

    Raises:
        StartError: a hundred choices in a row were taken.
    """
    for _ in range(100):
        first = secrets.choice(PORTS[: 1 - count or None])
        with ExitStack() as held, suppress(OSError):
            for port in range(first, first + count):
                held.enter_context(_held_port(port))
            _held.enter_context(held.pop_all())
            return first
    raise StartError(f"no free TCP port on {HOST}")


def _held_port(port: int) -> socket.socket:
    """A socket bound to a port that no other socket is bound to. It does not listen, and so Linux
    lets those of servers (SO_REUSEADDR, socket(7)) have the port beside it; where another system
    does not, nothing is held. Raises OSError."""
    holder = socket.socket()
    try:
        holder.bind((HOST, port))
    except OSError:
        holder.close()
        raise
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.platform != "linux":
        holder.close()
    return holder


class Server(ABC):
    """A program that listens on a port of 127.0.0.1 and lives no longer than who started it.

    It has a session of its own, so that a Ctrl-C reaches only the parent, which ends its servers in
    order; and the kernel kills it when the thread that started it ends without doing so
    (`tether.py`). Start it from a thread that stays, best the main one. As a context manager it
    runs for the length of the block. The port stays the same over restarts.
    """

    stop_seconds: ClassVar[float] = 10
    """How long it may take to end in good order."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        port: int,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """`env` is the whole environment (None: the parent's); output is appended to `log`."""
        self.name = name
        self.command = list(command)
        self.log = log
        self.port = port
        self.env = env
        self._log_start = 0
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it does what it is there for."""

    @property
    def pid(self) -> int:
        """Process id of the last start.

        Raises:
            StartError: it was never started.
        """
        if self._process is None:
            raise StartError(f"{self.name} was never started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; else the exit code, or minus the signal that ended it."""
        return self._process.poll() if self._process else 0

    def start(self, seconds: float = 60) -> None:
        """Start it and wait until it is ready.

        Raises:
            StartError: the port is taken, it ended, or it was not ready in time; the message says
                which, with what it logged last.
        """
        if not port_is_free(self.port):
            raise StartError(f"{self.name} can't listen on port {self.port}: it is in use")
        self._spawn()
        try:
            self._wait_until_ready(seconds)
        except BaseException:
            self.kill()
            raise

    def _spawn(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        tethered = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *self.command]
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own commands, no shell
                tethered,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                start_new_session=True,
            )

    def _wait_until_ready(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while port_is_free(self.port) or not self.is_ready():
            if self.exit_code is not None:
                raise StartError(f"{self.name} stopped while starting: {self.explanation()}")
            if time.monotonic() > deadline:
                raise StartError(
                    f"{self.name} was not ready after {seconds:g} s: {self.explanation()}"
                )
            time.sleep(POLL_SECONDS)

    def explanation(self) -> str:
        """The last lines that it logged since its start, and where the rest is."""
        said = " | ".join(self.log_lines()[-3:]) or "it logged nothing"
        return f"{said} (log: {self.log})"

    def log_lines(self) -> list[str]:
        """What it logged since its start, without empty lines."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            text = log.read().decode(errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()]

    def stop(self) -> int:
        """Ask it to end (SIGTERM), insist after `stop_seconds` (SIGKILL); the exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it at once (SIGKILL), as a crash would; the exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGKILL)
        return self._process.wait()

    def restart(self) -> None:
        """Start it again on the same port; stops it first if it still runs."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class HttpServer(Server):
    """A server that is ready when a GET of `ready_path` answers 200."""

    stop_seconds = 40  # a service drains for up to 30 s

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        port: int,
        ready_path: str,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """`env` is the whole environment (None: the parent's); output is appended to `log`."""
        super().__init__(name, command, log, port, env)
        self.ready_path = ready_path

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"

    def is_ready(self) -> bool:
        """Whether it answers 200."""
        try:
            return httpx.get(self.url + self.ready_path, timeout=5).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False
