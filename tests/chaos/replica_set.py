"""Three mongods as one replica set, of which each can be killed, paused and stepped down."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pymongo
from pymongo.errors import PyMongoError

from devnet.embedded import REPLICA_SET, Mongod
from devnet.process import HOST
from tests.e2e.kit import until

MEMBERS = 3
STEP_DOWN_SECONDS = 10


class Member(Mongod):
    """One mongod of the set."""

    def client(self) -> pymongo.MongoClient[dict[str, Any]]:
        """A client of this member alone."""
        return pymongo.MongoClient(
            HOST, self.port, directConnection=True, serverSelectionTimeoutMS=1000
        )

    def hello(self) -> Mapping[str, Any]:
        """What it says of itself; empty if it says nothing."""
        with self.client() as client, suppress(PyMongoError):
            return client.admin.command("hello")
        return {}

    def is_ready(self) -> bool:
        """Whether it takes part in the set, or waits to be told that there is one."""
        hello = self.hello()
        return any(hello.get(sign) for sign in ("isreplicaset", "isWritablePrimary", "secondary"))


class ReplicaSet:
    """The set; it runs for the length of the block."""

    def __init__(self, folder: Path, election_seconds: float) -> None:
        """`election_seconds`: how long the primary may be silent before another one is chosen."""
        self.members = [Member(folder / f"mongod-{number}") for number in range(MEMBERS)]
        self._election_seconds = election_seconds
        self._parts = ExitStack()

    def __enter__(self) -> Self:
        for member in self.members:
            self._parts.enter_context(member)
        hosts = [f"{HOST}:{member.port}" for member in self.members]
        config = {
            "_id": REPLICA_SET,
            "members": [{"_id": place, "host": host} for place, host in enumerate(hosts)],
            "settings": {"electionTimeoutMillis": round(self._election_seconds * 1000)},
        }
        with self.members[0].client() as client:
            client.admin.command("replSetInitiate", config)
        until(self.find_primary)
        return self

    def __exit__(self, *_: object) -> None:
        # A mongod without a majority waits for one before it ends; nothing here is to be kept.
        for member in self.members:
            member.kill()
        self._parts.close()

    @property
    def url(self) -> str:
        """Connection string of the set."""
        hosts = ",".join(f"{HOST}:{member.port}" for member in self.members)
        return f"mongodb://{hosts}/?replicaSet={REPLICA_SET}"

    def find_primary(self) -> Member | None:
        """The primary, if there is one now."""
        return next((m for m in self.members if m.hello().get("isWritablePrimary")), None)

    def primary(self) -> Member:
        """The primary, once there is one and all the others follow it."""
        until(lambda: self.find_primary() and all(member.is_ready() for member in self.members))
        primary = self.find_primary()
        assert primary is not None
        return primary

    def secondary(self) -> Member:
        """One that is not the primary."""
        primary = self.primary()
        return next(member for member in self.members if member is not primary)

    @contextmanager
    def stepped_down(self) -> Iterator[None]:
        """The primary gives up its role at the beginning."""
        with self.primary().client() as client, suppress(PyMongoError):
            client.admin.command("replSetStepDown", STEP_DOWN_SECONDS, force=True)
        yield
