"""A real MongoDB (single-node replica set) and a real Valkey, from wheels: no root, no Docker.

Both listen on 127.0.0.1 only, end with the process that started them, even by `kill -9`, and can be
killed and restarted in the middle of a test.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymongo
import redis
from pymongo.errors import OperationFailure, PyMongoError

from devnet.binaries import library_environment, mongod_binary, valkey_binary
from devnet.process import HOST, Server, free_port

REPLICA_SET = "rs0"
NOT_YET_INITIALIZED = 94  # MongoDB's error code for a replica set without a configuration


class Mongod(Server):
    """mongod as a replica set of one, journaled, with a small cache; data and log in `data_dir`.

    Data that was made on another port is taken over.
    """

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        """`port`: None takes a free one.

        Raises:
            StartError: there is no mongod, or it can't be loaded; the message says the ways out.
        """
        data_dir = data_dir.resolve()
        data_dir.mkdir(parents=True, exist_ok=True)
        port = port or free_port()
        binary = mongod_binary()
        options = {
            "--dbpath": data_dir,
            "--port": port,
            "--bind_ip": HOST,
            "--replSet": REPLICA_SET,
            "--oplogSize": 128,  # MB
            "--wiredTigerCacheSizeGB": 0.25,
        }
        parameters = (
            "diagnosticDataCollectionEnabled=false",
            "shutdownTimeoutMillisForSignaledShutdown=0",  # nobody to hand the primary's role to
        )
        command = [
            str(binary),
            *(str(word) for option in options.items() for word in option),
            *(word for parameter in parameters for word in ("--setParameter", parameter)),
            *("--quiet", "--nounixsocket"),
        ]
        environment = {**os.environ, **library_environment(binary, data_dir / "lib")}
        super().__init__("MongoDB", command, data_dir / "mongod.log", port, environment)

    @property
    def url(self) -> str:
        """Connection string without a database."""
        return self.database_url("")

    def database_url(self, database: str) -> str:
        """Connection string of one database."""
        query = f"replicaSet={REPLICA_SET}&directConnection=false"
        return f"mongodb://{HOST}:{self.port}/{database}?{query}"

    def is_ready(self) -> bool:
        """Whether it is a primary; initiates the replica set on the way there."""
        try:
            with pymongo.MongoClient[dict[str, Any]](
                HOST, self.port, directConnection=True, serverSelectionTimeoutMS=1000
            ) as client:
                self._ensure_replica_set(client)
                return bool(client.admin.command("hello")["isWritablePrimary"])
        except PyMongoError:
            return False

    def _ensure_replica_set(self, client: pymongo.MongoClient[dict[str, Any]]) -> None:
        """Initiate a new replica set; tell an old one where it listens now."""
        member = {"_id": 0, "host": f"{HOST}:{self.port}"}
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code != NOT_YET_INITIALIZED:
                raise
            config = {"_id": REPLICA_SET, "members": [member]}
            client.admin.command("replSetInitiate", config)
            return
        if [entry["host"] for entry in config["members"]] != [member["host"]]:
            config["members"] = [member]
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)

    def explanation(self) -> str:
        """The last two errors in its log (one JSON document a line), else the log's last lines."""
        entries = [json.loads(line) for line in self.log_lines() if line.startswith("{")]
        errors = [entry for entry in entries if entry["s"] in ("E", "F")][-2:]
        said = [f"{entry['msg']}: {entry.get('attr', '')}" for entry in errors]
        one_line = " | ".join(" ".join(text.split()) for text in said)
        return f"{one_line} (log: {self.log})" if said else super().explanation()


class Valkey(Server):
    """Valkey without persistence: the service must lose nothing when it is flushed."""

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        """`data_dir` gets the log; `port`: None takes a free one.

        Raises:
            StartError: there is no valkey-server; the message says the ways out.
        """
        port = port or free_port()
        data_dir.mkdir(parents=True, exist_ok=True)
        options = {
            "--bind": HOST,
            "--port": str(port),
            "--dir": str(data_dir.resolve()),
            "--save": "",
            "--appendonly": "no",
        }
        command = [str(valkey_binary()), *(word for option in options.items() for word in option)]
        super().__init__("Valkey", command, data_dir / "valkey.log", port)

    @property
    def url(self) -> str:
        """Connection string of database 0."""
        return f"redis://{HOST}:{self.port}/0"

    def is_ready(self) -> bool:
        """Whether it answers a PING."""
        with redis.Redis(HOST, self.port, socket_timeout=1) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


@contextmanager
def embedded_mongod(data_dir: Path) -> Iterator[str]:
    """A running mongod with its data in `data_dir`; gives its connection string.

    Raises:
        StartError: it could not be started; the message says why in one line.
    """
    with Mongod(data_dir) as server:
        yield server.url


@contextmanager
def embedded_valkey(data_dir: Path | None = None) -> Iterator[str]:
    """A running Valkey, its log in `data_dir` or a temporary folder; gives its connection string.

    Raises:
        StartError: it could not be started; the message says why in one line.
    """
    with tempfile.TemporaryDirectory() as folder, Valkey(data_dir or Path(folder)) as server:
        yield server.url
