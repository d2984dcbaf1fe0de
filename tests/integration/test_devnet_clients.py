"""Independent, unmodified clients against `python -m devnet` over real sockets."""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tronpy import Tron
from tronpy.exceptions import AddressNotFound, BadKey, TransactionNotFound
from tronpy.keys import PrivateKey
from tronpy.providers import HTTPProvider

from devnet.network import DEVNET_WALLETS
from devnet.settings import USDT_ADDRESS

ROOT = Path(__file__).parents[2]
TRONWEB_SOURCE = ROOT / "tests" / "data" / "tronweb"
TRONWEB_HOME = ROOT / ".dev" / "tronweb"
WALLET = DEVNET_WALLETS[0]
RECIPIENT = "TSQMe1NqeKLhBdC24f7nYuGiKuB6KUFQFS"


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A devnet in a process of its own, ready to serve; killed in the end."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "devnet", "--port", "0", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        name, url, *_ = process.stdout.readline().split()
        assert name == "endpoints"
        yield url, process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with started("--solid-lag", "2") as (address, _):
        yield address


def mine(url: str, count: int = 1) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.post(f"{url}/devnet/mine", json={"count": count}).json()
    return answer


class TestTronpy:
    @pytest.fixture
    def tron(self, url: str) -> Iterator[Tron]:
        provider = HTTPProvider(url)
        yield Tron(provider=provider)
        provider.sess.close()

    def test_reads_the_chain(self, tron: Tron) -> None:
        assert tron.get_account_balance(WALLET.address) > 0
        assert tron.get_latest_block_number() >= tron.get_latest_solid_block_number() > 0
        assert len(tron.get_latest_block_id()) == 64
        assert tron.get_chain_parameters()
        assert tron.get_account_resource(WALLET.address)["freeNetLimit"] == 600
        with pytest.raises(AddressNotFound):
            tron.get_account("TBXSw8fM4jpQkGc6zZjsVABFpVN7UvXPdV")
        with pytest.raises(TransactionNotFound):
            tron.get_transaction("00" * 32)

    def test_sends_trx(self, tron: Tron, url: str) -> None:
        key = PrivateKey(bytes.fromhex(WALLET.private_key))
        sent = tron.trx.transfer(WALLET.address, RECIPIENT, 1_234_567).build().sign(key).broadcast()
        assert tron.get_transaction(sent.txid)["txID"] == sent.txid
        mine(url)
        info = sent.wait(timeout=5)
        assert info["id"] == sent.txid
        assert info["blockNumber"] == tron.get_latest_block_number()
        mine(url, 2)
        assert tron.get_solid_transaction_info(sent.txid)["id"] == sent.txid

    def test_sends_tokens(self, tron: Tron, url: str) -> None:
        contract = tron.get_contract(USDT_ADDRESS)
        assert (contract.functions.symbol(), contract.functions.decimals()) == ("USDT", 6)
        before = contract.functions.balanceOf(RECIPIENT)
        key = PrivateKey(bytes.fromhex(WALLET.private_key))
        built = contract.functions.transfer(RECIPIENT, 7_000_001).with_owner(WALLET.address)
        sent = built.fee_limit(50_000_000).build().sign(key).broadcast()
        mine(url)
        info = sent.wait(timeout=5)
        assert info["receipt"]["result"] == "SUCCESS"
        assert int(info["log"][0]["data"], 16) == 7_000_001
        assert contract.functions.balanceOf(RECIPIENT) == before + 7_000_001
        ledger = httpx.get(f"{url}/devnet/ledger").json()["transfers"]
        assert [row["amount"] for row in ledger if row["txid"] == sent.txid] == [7_000_001]

    def test_refuses_to_sign_with_a_key_that_is_not_in_the_permission(self, tron: Tron) -> None:
        built = tron.trx.transfer(WALLET.address, RECIPIENT, 1).build()
        with pytest.raises(BadKey):
            built.sign(PrivateKey(bytes.fromhex("11" * 32)))


def tronweb_folder() -> Path:
    """TronWeb, installed once into a folder of its own; the test is skipped where it can't be."""
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        pytest.skip("node and npm are not installed here")
    TRONWEB_HOME.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "client.mjs"):
        shutil.copyfile(TRONWEB_SOURCE / name, TRONWEB_HOME / name)
    installed = TRONWEB_HOME / "node_modules" / "tronweb" / "package.json"
    wanted = json.loads((TRONWEB_SOURCE / "package.json").read_text())["dependencies"]["tronweb"]
    if not installed.exists() or json.loads(installed.read_text())["version"] != wanted:
        done = subprocess.run(  # noqa: S603
            [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=TRONWEB_HOME,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"npm could not install tronweb {wanted}: {done.stderr[-300:]}")
    return TRONWEB_HOME


def test_tronweb_reads_and_sends(url: str) -> None:
    folder = tronweb_folder()
    node = shutil.which("node")
    assert node is not None
    done = subprocess.run(  # noqa: S603
        [node, "client.mjs", url, WALLET.private_key, USDT_ADDRESS, RECIPIENT],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["owner"] == WALLET.address
    assert (seen["symbol"], seen["decimals"]) == ("USDT", "6")
    assert int(seen["after"]) - int(seen["before"]) == 2_500_003
    assert seen["trx"]["result"] is True
    assert seen["token"]["result"] is True
    assert seen["trxInfo"]["id"] == seen["trx"]["txid"]
    assert seen["tokenInfo"]["receipt"]["result"] == "SUCCESS"
    assert seen["transaction"]["ret"] == [{"contractRet": "SUCCESS"}]
    assert seen["energy"] == 64_285
    assert seen["parameters"] > 20
    paid = httpx.get(f"{url}/devnet/ledger", params={"from": WALLET.address}).json()["transfers"]
    txids = {row["txid"] for row in paid}
    assert {seen["trx"]["txid"], seen["token"]["txid"], seen["byMethod"]} <= txids


def test_the_same_chain_goes_on_after_a_kill(tmp_path: Path) -> None:
    arguments = ("--data", str(tmp_path), "--tick-ms", "600000")
    with started(*arguments) as (url, process):
        before = mine(url, 5)
        httpx.post(f"{url}/devnet/fund", json={"address": RECIPIENT, "trx_sun": 42})
        process.kill()
    with started(*arguments) as (url, _):
        after = httpx.get(f"{url}/devnet/state").json()
        assert (after["head"], after["genesis_id"]) == (before["head"], before["genesis_id"])
        held = httpx.get(f"{url}/devnet/balance", params={"address": RECIPIENT}).json()
        assert held["trx_sun"] == 42


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    with started("--nodes", "2") as (url, process):
        assert httpx.get(f"{url}/wallet/getnowblock").status_code == 200
        process.send_signal(number)
        assert process.wait(20) == 0


class TestBrokenConnections:
    """What a client sees on a socket when a node is told to break."""

    @pytest.fixture
    def faults(self, url: str) -> Iterator[str]:
        yield f"{url}/devnet/faults"
        httpx.delete(f"{url}/devnet/faults")

    def test_reset(self, url: str, faults: str) -> None:
        httpx.post(faults, json={"kind": "reset", "count": 1})
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            httpx.get(f"{url}/wallet/getnowblock")
        assert httpx.get(f"{url}/wallet/getnowblock").status_code == 200

    def test_hang(self, url: str, faults: str) -> None:
        httpx.post(faults, json={"kind": "hang", "count": 1})
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{url}/wallet/getnowblock", timeout=0.2)
        assert httpx.get(f"{url}/wallet/getnowblock").status_code == 200

    def test_huge(self, url: str, faults: str) -> None:
        httpx.post(faults, json={"kind": "huge", "value": 3_000_000, "count": 1})
        assert len(httpx.get(f"{url}/wallet/getnowblock").content) == 3_000_000


def test_a_taken_port_is_one_line_and_exit_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "devnet", "--port", str(taken.getsockname()[1])],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("devnet: ")
    assert len(done.stderr.splitlines()) == 1
