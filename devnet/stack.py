"""The whole stack on one machine: MongoDB, Valkey, the devnet and the service (`make run`).

The caller's environment goes before every value that is made up here. Where it sets MONGODB_URL or
REDIS_URL, no embedded one is started; nor is a devnet where it sets TRON_RPC_URL or a TRON_NETWORK
other than devnet. `<NAME>_FILE` counts as <NAME>.

Own variables: STACK_DIR (.dev/run, where everything is kept), DEVNET_PORT (18090), DEVNET_TICK_MS
(3000, wall time between blocks) and DEVNET_SOLID_LAG (19 blocks).
"""

import fcntl
import json
import os
import secrets
import shlex
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NoReturn, TextIO

import jwt

from adapters.mongo.client import DEFAULT_DATABASE
from adapters.tron.protocol import hex_to_address
from config import DEVELOPMENT_SECRET_PREFIX
from devnet.embedded import Mongod, Valkey
from devnet.process import HOST, HttpServer, Server, StartError
from devnet.settings import DEVNET_KEYS
from settings.environment import DEFAULT_PORT
from settings.security import Role

ROOT = Path(__file__).resolve().parent.parent
RUN_DIR = ROOT / ".dev" / "run"
TOKEN_SECONDS = 12 * 3600
WATCH_SECONDS = 0.5
GENERATED_SECRETS = ("JWT_SECRET_KEY", "WALLET_ENCRYPTION_KEY")


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """What differs between a stack to work with and one for a demo or a test."""

    data_dir: Path
    service_port: int
    devnet_port: int
    tick_ms: int
    """Wall time between blocks; the chain's own clock moves 3000 ms a block."""
    solid_lag: int
    """Blocks between the head and the solid head."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack."""

    service: HttpServer
    devnet: HttpServer | None
    """None where TRON_RPC_URL leads elsewhere."""
    environment: Mapping[str, str]
    """What the service was started with."""
    servers: tuple[Server, ...]
    """All that was started, in that order."""

    def token(self, role: Role, subject: str) -> str:
        """A bearer token of that role."""
        return issue_token(read_variable(self.environment, "JWT_SECRET_KEY"), role, subject)


def sample_address(number: int) -> str:
    """A well-formed address that belongs to nobody."""
    return hex_to_address("41" + sha256(f"sample recipient {number}".encode()).hexdigest()[:40])


def is_set(environ: Mapping[str, str], name: str) -> bool:
    """Whether the caller gave this variable, by value or by file."""
    return bool(environ.get(name) or environ.get(f"{name}_FILE"))


def read_variable(environ: Mapping[str, str], name: str) -> str:
    """A variable's value, or the content of the file that `<name>_FILE` names.

    Raises:
        StartError: neither is set.
        OSError: the file can't be read.
    """
    if environ.get(name):
        return environ[name]
    if environ.get(f"{name}_FILE"):
        return Path(environ[f"{name}_FILE"]).read_text(encoding="utf-8").strip()
    raise StartError(f"{name} is not set")


def number(environ: Mapping[str, str], name: str, default: int) -> int:
    """A variable that is a positive number.

    Raises:
        StartError: it is something else.
    """
    value = environ.get(name) or str(default)
    if not value.isascii() or not value.isdigit() or int(value) == 0:
        raise StartError(f"{name} is {value!r}: a positive number is expected")
    return int(value)


def issue_token(secret: str, role: Role, subject: str) -> str:
    """A JWT (HS256) for development: sub, role, iat, exp in 12 hours, jti."""
    now = int(time.time())
    claims = {"sub": subject, "role": str(role), "iat": now, "exp": now + TOKEN_SECONDS}
    return jwt.encode({**claims, "jti": uuid.uuid4().hex}, secret, algorithm="HS256")


def kept_secrets(path: Path) -> dict[str, str]:
    """Development secrets, made at the first call and kept in a file that only its owner reads."""
    if not path.exists():
        made = {
            name: DEVELOPMENT_SECRET_PREFIX + secrets.token_hex(32) for name in GENERATED_SECRETS
        }
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(made, file)
        draft.rename(path)
    kept: dict[str, str] = json.loads(path.read_text())
    return kept


def service_environment(
    environ: Mapping[str, str], settings: StackSettings, started: Mapping[str, str]
) -> dict[str, str]:
    """What the service gets: the caller's environment, and defaults for what it leaves open.

    `started` has the URLs of the embedded servers, by variable.
    """
    defaults = {
        "SERVICE_HOST": HOST,
        "SERVICE_PORT": str(settings.service_port),
        "LUCID_ENV": "development",
        "TRON_NETWORK": "devnet",
        "KEYS_DIR": str(settings.data_dir / "keys"),
        # Four blocks, as shipped, at the pace of this devnet.
        "SETTLE_POLL_SECONDS": str(4 * settings.tick_ms / 1000),
        **kept_secrets(settings.data_dir / "secrets.json"),
        **started,
    }
    own_key = any(is_set(environ, name) for name in ("TRON_PRIVATE_KEY", "KEYS_DIR"))
    if pays_on_devnet(environ) and not own_key:
        defaults["TRON_PRIVATE_KEY"] = DEVNET_KEYS[0]
    missing = {name: value for name, value in defaults.items() if not is_set(environ, name)}
    return {**environ, **missing}


def pays_on_devnet(environ: Mapping[str, str]) -> bool:
    """Whether the payouts go to a devnet, the embedded one or another."""
    return (environ.get("TRON_NETWORK") or "devnet") == "devnet"


def devnet_server(settings: StackSettings) -> HttpServer:
    """The devnet as a process of its own, which goes on with the chain in the data folder."""
    options = {
        "--host": HOST,
        "--port": settings.devnet_port,
        "--tick-ms": settings.tick_ms,
        "--solid-lag": settings.solid_lag,
        "--data": settings.data_dir / "devnet",
    }
    command = [
        sys.executable,
        "-m",
        "devnet",
        *(str(w) for option in options.items() for w in option),
    ]
    log = settings.data_dir / "devnet.log"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return HttpServer("the devnet", command, log, settings.devnet_port, "/devnet/state", env)


def service_server(settings: StackSettings, environment: Mapping[str, str]) -> HttpServer:
    """The service as a process of its own."""
    command = [sys.executable, str(ROOT / "payout_router_entrypoint.py"), "serve"]
    log = settings.data_dir / "service.log"
    port = settings.service_port
    return HttpServer("the service", command, log, port, "/health/ready", environment)


@contextmanager
def data_folder(path: Path) -> Iterator[None]:
    """The folder of one stack at a time.

    Raises:
        StartError: another stack uses it.
    """
    path.mkdir(parents=True, exist_ok=True)
    with (path / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(f"another stack is running on {path}: end that one first") from None
        yield


@contextmanager
def running_stack(settings: StackSettings, environ: Mapping[str, str]) -> Iterator[Stack]:
    """Start everything in order, and end it in the opposite one.

    Raises:
        StartError: something did not start; the message says what and why in one line.
    """
    with ExitStack() as exits:
        exits.enter_context(data_folder(settings.data_dir))
        servers: list[Server] = []
        started: dict[str, str] = {}

        def start(server: Server) -> None:
            exits.enter_context(server)
            servers.append(server)

        if not is_set(environ, "MONGODB_URL"):
            mongod = Mongod(settings.data_dir / "mongodb")
            start(mongod)
            started["MONGODB_URL"] = mongod.database_url(DEFAULT_DATABASE)
        if not is_set(environ, "REDIS_URL"):
            valkey = Valkey(settings.data_dir / "valkey")
            start(valkey)
            started["REDIS_URL"] = valkey.url
        devnet = None
        if pays_on_devnet(environ) and not is_set(environ, "TRON_RPC_URL"):
            devnet = devnet_server(settings)
            start(devnet)
            started["TRON_RPC_URL"] = devnet.url
        environment = service_environment(environ, settings, started)
        service = service_server(settings, environment)
        start(service)
        yield Stack(service, devnet, environment, tuple(servers))


def welcome(stack: Stack) -> str:
    """What a person needs to begin: URLs, a token for each role, a payout to try."""
    url = stack.service.url
    places = {
        "API": f"{url}/docs",
        "health": f"{url}/health",
        "metrics": f"{url}/metrics",
        **({"devnet": f"{stack.devnet.url}/devnet/ledger"} if stack.devnet else {}),
        "logs": " ".join(str(server.log) for server in stack.servers),
    }
    tokens = {role: stack.token(role, f"dev-{role.lower()}") for role in Role}
    payout = {
        "recipient_address": sample_address(0),
        "amount": "12.50",
        "currency": "USDT",
        "reason": "uptime_reward",
    }
    headers = (
        f"Authorization: Bearer {tokens[Role.SERVICE]}",
        "Content-Type: application/json",
        "Idempotency-Key: first-try",
    )
    words = ["curl", "-s", f"{url}/payouts", *(w for header in headers for w in ("-H", header))]
    return "\n".join(
        (
            "The payout router is up; Ctrl-C ends it and all that belongs to it.\n",
            *(f"  {name:8} {place}" for name, place in places.items()),
            f"\nTokens for {TOKEN_SECONDS // 3600} hours:\n",
            *(f"  {role:14} {token}" for role, token in tokens.items()),
            "\nTo try. Dispatch opens about a minute after the start (/health says why it waits),\n"
            "and a payout is completed when its block is solid, 19 blocks later:\n",
            shlex.join([*words, "-d", json.dumps(payout)]),
        )
    )


def stop_on_signals() -> None:
    """Let the first Ctrl-C, SIGTERM or SIGHUP unwind the stack as SystemExit; ignore any further.

    Everything that follows it is bounded in time, so nobody has to press Ctrl-C twice.
    """
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def unwind(*_: object) -> NoReturn:
        for one in signals:
            signal.signal(one, signal.SIG_IGN)
        raise SystemExit(0)

    for one in signals:
        signal.signal(one, unwind)


def watch(stack: Stack) -> NoReturn:
    """Stay until a signal comes.

    Raises:
        StartError: one of the servers ended by itself.
    """
    while True:
        for server in stack.servers:
            if server.exit_code is not None:
                raise StartError(
                    f"{server.name} ended (exit code {server.exit_code}): {server.explanation()}"
                )
        time.sleep(WATCH_SECONDS)


def run(environ: Mapping[str, str], out: TextIO) -> NoReturn:
    """`make run`: the stack in the foreground; a second run goes on where the first stopped."""
    port = number(environ, "PAYOUT_ROUTER_PORT", DEFAULT_PORT)
    settings = StackSettings(
        data_dir=Path(environ.get("STACK_DIR") or RUN_DIR).resolve(),
        service_port=number(environ, "SERVICE_PORT", port),
        devnet_port=number(environ, "DEVNET_PORT", 18_090),
        tick_ms=number(environ, "DEVNET_TICK_MS", 3_000),
        solid_lag=number(environ, "DEVNET_SOLID_LAG", 19),
    )
    with running_stack(settings, environ) as stack:
        print(welcome(stack), file=out, flush=True)
        watch(stack)


def main(command: Callable[[Mapping[str, str], TextIO], None]) -> int:
    """Run a command of the stack; its exit code: 1 where it raises StartError, with the message."""
    stop_on_signals()
    try:
        command(os.environ, sys.stdout)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(run))
