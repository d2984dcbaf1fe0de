"""A world to test the service in as its users meet it: real processes, and HTTP in between.

Each world has a devnet, a Valkey and a database of its own, and any number of service processes.
Chain time runs 60 times as fast as the clock on the wall.
"""

# ruff: noqa: S603 - programs of our own, without a shell

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx
import jwt
import pymongo
import redis
import yaml
from pymongo.errors import OperationFailure

from adapters.signer.keyfile import seal
from adapters.signer.keys import address_of_private_key
from devnet.embedded import Valkey
from devnet.process import HOST, TETHER, HttpServer, free_port
from devnet.stack import ROOT
from models.money import BASE_UNITS, format_amount
from settings.environment import DEFAULT_CONFIG_DIR
from tests.harness import fresh_address

T = TypeVar("T")
R = TypeVar("R")

ENTRYPOINT = [sys.executable, str(ROOT / "payout_router_entrypoint.py")]
WALLET_KEY = sha256(b"the wallet of the end-to-end tests").hexdigest()
WALLET = address_of_private_key(bytes.fromhex(WALLET_KEY))
WALLET_USDT, WALLET_TRX = 5_000 * BASE_UNITS, 100_000 * BASE_UNITS
"""Less USDT than one payout may ask for, so that there is something that it can't pay."""

TICK_MS = 50
BLOCK_MS = 3_000
SOLID_LAG = 5
NODES = 2

TIMEOUT_SECONDS = 10
"""The service's TIMEOUT: how long a stop may take."""

PATIENCE_SECONDS = 60.0
"""How long anything may take before a test gives up on it."""

LOOK_SECONDS = 0.1

JWT_SECRET = "e2e secret that signs the tokens 7e0c52bd"
WALLET_SECRET = "e2e passphrase of the sealed keys 41aa90fe"
MONGODB_USER, MONGODB_PASSWORD = "e2e", "e2e-mongodb-3c1d77ab"
REDIS_PASSWORD = "e2e-redis-5be2f019"
SECRETS = (JWT_SECRET, WALLET_SECRET, MONGODB_PASSWORD, REDIS_PASSWORD, WALLET_KEY)
"""What must never come out of the service."""

USER_EXISTS = 51003
"""MongoDB's error code for a user that is there already."""

Changes = Mapping[str, Mapping[str, Any]]
"""File of `config/` → dotted key → value."""

PACE: Changes = {
    "payout-router-config.yaml": {
        "dispatch.group_size": 20,
        "dispatch.poll_seconds": 0.5,
        "dispatch.lease_seconds": 3,
        "dispatch.skip_seconds": 0.5,
        "attempt.life_seconds": 300,
        "attempt.max_beyond_cursor_seconds": 900,
        "settle.poll_seconds": 0.1,
        "settle.review_seconds": 0.5,
        "settle.resend_after_seconds": 3,
        "settle.unsent_after_seconds": 2,
        "audit.poll_seconds": 0.2,
        "tron.silent_after_seconds": 1,
        "tron.requests_per_second": 1000,
        "tron.burst": 100,
        "tron.http.connect_timeout_seconds": 1,
        "mongodb.connect_timeout_seconds": 1,
        "mongodb.socket_timeout_seconds": 2,
        "redis.connect_timeout_seconds": 0.5,
        "redis.socket_timeout_seconds": 0.5,
    },
    "retry-config.yaml": {
        "retries.node_query.base_seconds": 0.05,
        "retries.node_query.max_seconds": 0.2,
        "retries.broadcast.base_seconds": 0.05,
        "retries.broadcast.max_seconds": 0.2,
        "breakers.tron.recovery_seconds": 0.5,
        "breakers.mongodb.recovery_seconds": 0.5,
        "retries.mongodb.base_seconds": 0.05,
    },
}
"""The waits shrink with the time between blocks; the rest is as it is shipped."""

QUICK: Changes = {
    **PACE,
    "payout-router-config.yaml": {
        **PACE["payout-router-config.yaml"],
        "currencies.USDT.hourly_limit": "100000",
        "routes.v0.currencies.USDT.max_amount": "10000",
        "routes.v0.currencies.TRX.max_amount": "30000",
    },
    "payout-security-policies.yaml": {
        "approvals.workflows.high_value.from_amount": {"USDT": "50000", "TRX": "150000"},
        "client_limits.USER": {},
    },
}
"""Besides, many and large payouts go as few and small ones do: to anybody, asking nobody."""


def write_config(folder: Path, changes: Changes) -> Path:
    """A copy of `config/` in `folder` with some values changed."""
    shutil.copytree(DEFAULT_CONFIG_DIR, folder)
    for name, values in changes.items():
        file = folder / name
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
        for path, value in values.items():
            *parents, last = path.split(".")
            place = data
            for key in parents:
                place = place[key]
            assert last in place, f"{name} has no {path}"
            place[last] = value
        file.write_text(yaml.safe_dump(data), encoding="utf-8")
    return folder


# ---- doing and waiting ----


def until(look: Callable[[], T], explain: Callable[[], object] = str) -> T:
    """Look until what is seen is true, and return it; fails after PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (seen := look()):
        assert time.monotonic() < deadline, f"still not so: {explain()}"
        time.sleep(LOOK_SECONDS)
    return seen


def at_once(call: Callable[[T], R], arguments: Sequence[T], threads: int = 50) -> list[R]:
    """Call with each argument, up to so many at the same moment; the results in order."""
    with ThreadPoolExecutor(min(threads, len(arguments))) as pool:
        return list(pool.map(call, arguments))


def token(role: str = "SERVICE", subject: str = "platform", **claims: Any) -> str:
    """A bearer token; `claims` replace the usual ones, and None leaves one out."""
    now = int(time.time())
    usual = {"sub": subject, "role": role, "iat": now, "exp": now + 3600}
    kept = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return jwt.encode(kept, JWT_SECRET, algorithm="HS256")


def order(**fields: Any) -> dict[str, Any]:
    """The body of a create: 1 USDT to somebody new, unless told otherwise."""
    return {
        "recipient_address": fresh_address(),
        "amount": "1",
        "currency": "USDT",
        "reason": "custom",
        **fields,
    }


def spilled(text: str) -> list[str]:
    """The secrets that stand in a text."""
    return [secret for secret in SECRETS if secret in text]


def _check_answer(answer: httpx.Response) -> None:
    answer.read()
    assert not spilled(f"{answer.headers}{answer.text}")


# ---- processes ----


class Service(HttpServer):
    """`payout_router_entrypoint.py`, serving."""

    stop_seconds = TIMEOUT_SECONDS + 5

    def __init__(self, name: str, log: Path, environment: Mapping[str, str]) -> None:
        port = int(environment["SERVICE_PORT"])
        super().__init__(name, ENTRYPOINT, log, port, "/health/ready", environment)

    def api(self, role: str = "SERVICE", subject: str = "platform", **claims: Any) -> httpx.Client:
        """A client with a token; every answer is searched for secrets."""
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token(role, subject, **claims)}"},
            timeout=30,
            event_hooks={"response": [_check_answer]},
        )

    def health(self) -> httpx.Response:
        """What /health says."""
        return httpx.get(f"{self.url}/health", timeout=30)

    def is_healthy(self) -> bool:
        """Whether nothing is wrong with it, and dispatch is open."""
        return bool(self.health().json()["status"] == "healthy")


class Worker:
    """`payout_router_entrypoint.py worker`: the loops, and no port."""

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it dies with the tests."""
        tether = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid())]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*tether, *ENTRYPOINT, "worker"],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_it_works(self) -> None:
        """Return when its loops have begun."""
        until(lambda: "worker started" in self._log.read_text(encoding="utf-8"))

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        return self._process.wait(TIMEOUT_SECONDS + 5)


def run_to_its_end(
    environment: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """A service process that is expected to end by itself; its output must not spill secrets."""
    run = subprocess.run(
        [*ENTRYPOINT, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert not spilled(run.stdout + run.stderr)
    return run


def devnet_server(folder: Path, network: str = "devnet") -> HttpServer:
    """A devnet with NODES endpoints, on its port and the next ones; it keeps its chain."""
    port = free_port(NODES)
    options = {
        "--port": port,
        "--nodes": NODES,
        "--tick-ms": TICK_MS,
        "--block-ms": BLOCK_MS,
        "--solid-lag": SOLID_LAG,
        "--network": network,
        "--data": folder / "devnet",
    }
    words = [str(word) for option in options.items() for word in option]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "devnet", *words]
    return HttpServer("the devnet", command, folder / "devnet.log", port, "/devnet/state", env)


def sealed_keys(folder: Path, *keys: bytes) -> dict[str, str]:
    """These private keys, sealed, in a new folder, and the variable that leads there."""
    folder.mkdir()
    for key in keys:
        file = folder / f"{address_of_private_key(key)}.json"
        file.write_bytes(seal(key, WALLET_SECRET))
    return {"KEYS_DIR": str(folder)}


def with_password(mongodb_url: str) -> str:
    """The URL of the same MongoDB with a user and a password, which a log could betray."""
    with pymongo.MongoClient[dict[str, Any]](mongodb_url) as client:
        try:
            client.admin.command("createUser", MONGODB_USER, pwd=MONGODB_PASSWORD, roles=["root"])
        except OperationFailure as error:
            if error.code != USER_EXISTS:
                raise
    parts = urlsplit(mongodb_url)
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{MONGODB_USER}:{MONGODB_PASSWORD}@{host}"
    return parts._replace(netloc=netloc, query=f"{parts.query}&authSource=admin").geturl()


class World:
    """A devnet, a Valkey, a database, and the service processes that share them."""

    def __init__(
        self, folder: Path, mongodb_url: str, changes: Changes = QUICK, **environment: str
    ) -> None:
        """`environment` goes to every service process."""
        self.folder = folder
        self.valkey = Valkey(folder / "valkey")
        self.devnet = devnet_server(folder)
        database = f"e2e_{uuid.uuid4().hex[:12]}"
        self.mongodb_url = urlsplit(with_password(mongodb_url))._replace(path=f"/{database}")
        self._config_dir = write_config(folder / "config", changes)
        self._environment = environment
        self._parts = ExitStack()
        self._logs: list[Path] = []

    def __enter__(self) -> Self:
        try:
            self._parts.enter_context(self.devnet)
            self._parts.callback(self.valkey.stop)
            self.start_valkey()
            self.fund(WALLET_USDT, WALLET_TRX)
        except BaseException:
            self._parts.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()
        lines = "".join(log.read_text(encoding="utf-8") for log in self._logs)
        assert not spilled(lines)

    def start_valkey(self) -> None:
        """Start it, empty, with a password."""
        self.valkey.start()
        with redis.Redis(HOST, self.valkey.port) as client:
            client.config_set("requirepass", REDIS_PASSWORD)

    def environment(self, **more: str) -> dict[str, str]:
        """The whole environment of a service process."""
        return {
            "SERVICE_HOST": HOST,
            "SERVICE_PORT": str(free_port()),
            "TIMEOUT": str(TIMEOUT_SECONDS),
            "LUCID_ENV": "development",
            "LOG_LEVEL": "DEBUG",
            "CONFIG_DIR": str(self._config_dir),
            "MONGODB_URL": self.mongodb_url.geturl(),
            "REDIS_URL": f"redis://:{REDIS_PASSWORD}@{HOST}:{self.valkey.port}/0",
            "JWT_SECRET_KEY": JWT_SECRET,
            "WALLET_ENCRYPTION_KEY": WALLET_SECRET,
            "TRON_NETWORK": "devnet",
            "TRON_RPC_URL": ",".join(
                f"http://{HOST}:{self.devnet.port + node}" for node in range(NODES)
            ),
            "TRON_PRIVATE_KEY": WALLET_KEY,
            **self._environment,
            **more,
        }

    def service(self, name: str = "service", **more: str) -> Service:
        """A serving process, not started; it ends with the world."""
        service = Service(name, self._log(name), self.environment(**more))
        self._parts.callback(service.stop)
        return service

    def worker(self) -> Worker:
        """A worker process, not started; it ends with the world."""
        worker = Worker(self._log("worker"), self.environment())
        self._parts.callback(worker.stop)
        return worker

    def _log(self, name: str) -> Path:
        log = self.folder / f"{name}.log"
        log.touch()
        self._logs.append(log)
        return log

    # ---- the chain ----

    def control(self, method: str, noun: str, **fields: Any) -> dict[str, Any]:
        """A call to the devnet's control API."""
        url = f"{self.devnet.url}/devnet/{noun}"
        answer = httpx.request(method, url, json=fields, timeout=30)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def fund(self, usdt: int, trx_sun: int = 0, wallet: str = WALLET) -> None:
        """Give a wallet so much more."""
        self.control("POST", "fund", address=wallet, token_units=usdt, trx_sun=trx_sun)

    def transfers(self, wallet: str = WALLET) -> list[tuple[str, str, str]]:
        """(recipient, amount, currency) of each transfer out of a wallet, on the head chain."""
        ledger = self.control("GET", "ledger", **{"from": wallet})
        return [
            (row["to"], format_amount(int(row["amount"])), row["currency"])
            for row in ledger["transfers"]
        ]

    def paid(self, recipient: str, wallet: str = WALLET) -> int:
        """How many transfers from a wallet the chain shows to a recipient."""
        return sum(to == recipient for to, _, _ in self.transfers(wallet))


# ---- payouts over HTTP ----


def create(api: httpx.Client, body: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
    """A payout that is accepted at once."""
    answer = api.post("/payouts", json=body, headers=keyed(key))
    assert answer.status_code in (200, 201), answer.text
    created: dict[str, Any] = answer.json()
    return created


def keyed(key: str | None) -> dict[str, str]:
    """The headers of a create with an idempotency key."""
    return {} if key is None else {"Idempotency-Key": key}


def look_at(api: httpx.Client, payout: Mapping[str, Any]) -> dict[str, Any]:
    """A payout as it stands."""
    answer = api.get(f"/payouts/{payout['payout_id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def everything(api: httpx.Client, **filters: str) -> list[dict[str, Any]]:
    """All payouts that the filters let through, page by page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = api.get("/payouts", params={"limit": "200", **filters, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def completed(api: httpx.Client, payouts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The payouts once all of them are completed."""
    ids = {payout["payout_id"] for payout in payouts}

    def found(**filters: str) -> list[dict[str, Any]]:
        return [one for one in everything(api, **filters) if one["payout_id"] in ids]

    def all_done() -> bool:
        return len(found(status="completed")) == len(ids)

    until(all_done, lambda: Counter((one["status"], str(one["status_reason"])) for one in found()))
    return found()


def asked(payouts: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """What the chain should show for these payouts, sorted."""
    return sorted((one["recipient_address"], one["amount"], one["currency"]) for one in payouts)
