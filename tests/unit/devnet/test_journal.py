"""A devnet goes on where it stopped."""

from pathlib import Path

import pytest

from devnet.devnet import Devnet
from devnet.faults import Fault
from devnet.journal import FILE_NAME
from devnet.settings import DevnetSettings
from tests.unit.devnet.scene import SECOND, Bench, bench, wallet

FRESH = wallet("fresh").address


def lived(path: Path) -> Bench:
    b = bench(data=path)
    b.net.fund(FRESH, trx_sun=5_000_000, token_units=7)
    b.net.faults.add(Fault(kind="force_result", value="OUT_OF_TIME", count=1))
    b.put(b.usdt(SECOND.address, 5))
    dropped = b.put(b.usdt(SECOND.address, 6)).tx
    b.net.fork(1, drop=[dropped.txid])
    b.net.blacklist(FRESH)
    b.put(b.trx(SECOND.address, 8))
    return b


def test_the_same_chain_goes_on(tmp_path: Path) -> None:
    before = lived(tmp_path).net
    settings = DevnetSettings(genesis_ms=1, network="ignored", nodes=3, data=tmp_path)
    after = Devnet(settings)
    assert [block.id for block in after.chain.blocks] == [b.id for b in before.chain.blocks]
    assert after.ledger() == before.ledger()
    assert after.balance(FRESH) == before.balance(FRESH)
    assert after.solid.id == before.solid.id
    assert len(after.nodes) == 3
    assert after.mine().id == before.mine().id
    before.close()
    after.close()


def test_a_restart_of_a_restart(tmp_path: Path) -> None:
    lived(tmp_path).net.close()
    for _ in range(2):
        net = Devnet(DevnetSettings(data=tmp_path))
        head = net.mine().id
        net.close()
    again = Devnet(DevnetSettings(data=tmp_path))
    assert again.head.id == head
    again.close()


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    net = lived(tmp_path).net
    head = net.head
    net.mine()
    net.close()
    file = tmp_path / FILE_NAME
    file.write_bytes(file.read_bytes()[:-cut])
    again = Devnet(DevnetSettings(data=tmp_path))
    assert again.head.id == head.id
    again.mine()
    again.close()
    last = Devnet(DevnetSettings(data=tmp_path))
    assert last.head.number == head.number + 1
    last.close()


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("hello\n")
    with pytest.raises(ValueError, match="is not a devnet's journal"):
        Devnet(DevnetSettings(data=tmp_path))


@pytest.mark.parametrize(
    "bad", [{"nodes": 0}, {"solid_lag": -1}, {"block_interval_ms": 0}, {"tick_ms": 0}]
)
def test_settings_out_of_range(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"."):
        DevnetSettings(**bad)  # type: ignore[arg-type]
