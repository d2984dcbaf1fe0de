"""The embedded databases for real: crashes, restarts, taken ports, missing libraries."""

# ruff: noqa: S603, S607 - programs of our own, without a shell

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis
from pymongo import WriteConcern

from devnet import binaries
from devnet.embedded import Mongod, Valkey, embedded_mongod, embedded_valkey
from devnet.process import StartError, free_port
from tests.processes import all_end, watch


@contextmanager
def things(url: str) -> Iterator[pymongo.collection.Collection[dict[str, Any]]]:
    """A collection whose writes are acknowledged as the service asks for it."""
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        yield client["test"]["things"].with_options(write_concern=WriteConcern("majority", j=True))


@pytest.fixture(scope="module")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    with Mongod(tmp_path_factory.mktemp("mongod")) as server:
        yield server


def test_an_acknowledged_write_survives_a_crash(mongod: Mongod) -> None:
    with things(mongod.url) as collection:
        collection.insert_one({"_id": "before the crash"})
        first = mongod.pid
        mongod.kill()
        mongod.restart()
        assert mongod.pid != first
        assert collection.count_documents({"_id": "before the crash"}) == 1


def test_it_is_a_replica_set_that_can_do_transactions(mongod: Mongod) -> None:
    with (
        pymongo.MongoClient[dict[str, Any]](mongod.url) as client,
        client.start_session() as session,
        session.start_transaction(),
    ):
        client["test"]["transactions"].insert_one({"_id": 1}, session=session)
    with pymongo.MongoClient[dict[str, Any]](mongod.database_url("test")) as client:
        assert client.get_default_database()["transactions"].count_documents({}) == 1


def test_a_taken_port_is_one_clear_line(mongod: Mongod, tmp_path: Path) -> None:
    with pytest.raises(StartError, match=f"^MongoDB can't listen on port {mongod.port}: it is in"):
        Mongod(tmp_path, mongod.port).start()


def test_a_folder_in_use_is_one_clear_line(mongod: Mongod) -> None:
    with pytest.raises(StartError, match=r"Unable to lock the lock file.*mongod\.log") as caught:
        Mongod(mongod.log.parent).start()
    assert "\n" not in str(caught.value)


def test_damaged_data_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "WiredTiger.wt").write_bytes(b"no table")
    (tmp_path / "storage.bson").write_bytes(b"no document")
    with pytest.raises(
        StartError, match=r"^MongoDB stopped while starting: .*mongod\.log"
    ) as caught:
        Mongod(tmp_path).start()
    assert "\n" not in str(caught.value)


def test_data_is_taken_over_on_another_port(tmp_path: Path) -> None:
    with embedded_mongod(tmp_path) as url, things(url) as collection:
        collection.insert_one({"_id": "kept"})
    with embedded_mongod(tmp_path) as other, things(other) as collection:
        assert other != url
        assert collection.count_documents({"_id": "kept"}) == 1


def test_a_missing_library_comes_from_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's library may be there, but must not be what the process uses."""
    honest = binaries.loader_complaint
    monkeypatch.setattr(
        binaries,
        "loader_complaint",
        lambda path, environment: honest(path, environment) if environment else "libcurl.so.4",
    )
    with Mongod(tmp_path) as server:
        loaded = Path(f"/proc/{server.pid}/maps").read_text()
        used = {line.split()[-1] for line in loaded.splitlines() if "libcurl" in line}
        assert used == {str(binaries.carried_libraries()["libcurl.so.4"].resolve())}


NO_NAMESPACE = 77
HIDE = """
folder=$(dirname "$1")
mkdir "$2/upper" "$2/work"
mount -t overlay overlay -o "lowerdir=$folder,upperdir=$2/upper,workdir=$2/work" "$folder" &&
    rm "$folder"/libcurl.so.4* || exit 77
shift 2
exec "$@"
"""

PRINT_ENVIRONMENT = """
import sys
from pathlib import Path
from devnet.binaries import library_environment, loader_complaint, mongod_binary
print(loader_complaint(mongod_binary(), {}))
print(library_environment(mongod_binary(), Path(sys.argv[1]))["LD_LIBRARY_PATH"])
"""


def test_mongod_loads_where_the_system_has_no_libcurl(tmp_path: Path) -> None:
    """The library really hidden: an overlay without it, in a mount namespace of its own."""
    libraries = [path for path in map(Path, system_libraries()) if path.exists()]
    if not libraries or shutil.which("unshare") is None:
        pytest.skip("no libcurl.so.4 to hide, or no unshare to hide it with")
    inside = [sys.executable, "-c", PRINT_ENVIRONMENT, str(tmp_path / "lib")]
    hide = ["unshare", "-rm", "sh", "-c", HIDE, "sh", str(libraries[0]), str(tmp_path)]
    run = subprocess.run([*hide, *inside], capture_output=True, text=True, check=False)
    if run.returncode == NO_NAMESPACE or run.stderr.startswith("unshare:"):
        pytest.skip(f"no mount namespace here: {run.stderr.strip()}")
    assert run.returncode == 0, run.stderr
    complaint, search = run.stdout.splitlines()
    assert "libcurl.so.4: cannot open shared object file" in complaint
    assert search.startswith(str(tmp_path / "lib"))


def system_libraries() -> list[str]:
    """Where the loader finds libcurl.so.4 by itself."""
    ldd = subprocess.run(
        ["ldd", str(binaries.mongod_binary())], capture_output=True, text=True, check=True
    )
    return [line.split()[2] for line in ldd.stdout.splitlines() if "libcurl.so.4 =>" in line]


def test_valkey_answers_and_forgets() -> None:
    with embedded_valkey() as url, closing(redis.Redis.from_url(url)) as client:
        client.set("key", "value")
        assert client.get("key") == b"value"


def test_valkey_can_be_killed_and_restarted(tmp_path: Path) -> None:
    with Valkey(tmp_path) as server, closing(redis.Redis.from_url(server.url)) as client:
        client.set("key", "value")
        server.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        server.restart()
        assert client.get("key") is None


def test_a_taken_port_of_valkey_is_one_clear_line(tmp_path: Path) -> None:
    port = free_port()
    with Valkey(tmp_path / "one", port), pytest.raises(StartError, match="Valkey can't listen"):
        Valkey(tmp_path / "two", port).start()


PARENT = """
import signal, sys
from pathlib import Path
from devnet.embedded import Mongod, Valkey
with Mongod(Path(sys.argv[1]) / "mongod") as mongod, Valkey(Path(sys.argv[1])) as valkey:
    print(mongod.pid, valkey.pid, flush=True)
    signal.pause()
"""


def test_kill_9_of_the_parent_leaves_no_orphan(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        servers = watch([int(pid) for pid in parent.stdout.readline().split()])
        parent.send_signal(signal.SIGKILL)
    assert len(servers) == 2
    assert all_end(servers)
