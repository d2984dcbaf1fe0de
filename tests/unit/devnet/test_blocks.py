"""Blocks, the rule of inclusion, solidity and forks."""

from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.tron.protocol import block_id, header_bytes, merkle_root
from devnet.block import Block, make_witnesses
from devnet.chain import Chain
from devnet.crypto import recover
from devnet.devnet import Devnet
from devnet.network import DEVNET_WALLETS
from devnet.settings import DevnetSettings
from tests.unit.devnet.scene import HOT, SECOND, Bench, bench, raw, wallet


@pytest.fixture
def b() -> Bench:
    return bench()


def assert_linked(blocks: list[Block]) -> None:
    witnesses = make_witnesses("devnet")
    for parent, block in pairwise(blocks):
        header = header_bytes(block.header())
        assert block.id == block_id(block.number, header)
        assert block.parent_id == parent.id
        assert block.number == parent.number + 1
        assert block.timestamp > parent.timestamp
        assert block.root == merkle_root([item.leaf() for item in block.items])
        assert recover(sha256(header).digest(), block.signature) == block.witness_address
        assert block.witness_address == witnesses[block.witness].address


def test_blocks_are_linked_hashed_and_signed(b: Bench) -> None:
    for amount in range(1, 8):
        b.send(b.trx(SECOND.address, amount))
        if amount % 3 == 0:
            b.net.mine()
    b.net.mine()
    b.net.fork(3)
    assert_linked(b.net.chain.blocks)


def test_the_result_is_bound_to_the_block_id(b: Bench) -> None:
    b.put(b.usdt(SECOND.address, 1))
    block = b.net.head
    assert block.items[0].receipt.contract_ret == "SUCCESS"
    assert b"\x2a\x02\x18\x01" not in block.items[0].tx.wire
    assert block.root == sha256(block.items[0].tx.wire + b"\x2a\x02\x18\x01").digest()


def test_the_same_settings_give_the_same_chain() -> None:
    one, two = bench(), bench()
    assert one.net.head.id == two.net.head.id
    assert bench(network="other").net.head.id != one.net.head.id


@pytest.mark.parametrize(
    ("moment", "expected"), [(None, 3_000), (-50_000, 3_000), (7_500, 6_000), (3_100, 3_000)]
)
def test_timestamps_are_slots(b: Bench, moment: int | None, expected: int) -> None:
    before = b.net.head.timestamp
    b.net.mine(1, None if moment is None else before + moment)
    assert b.net.head.timestamp - before == expected


def test_inclusion_is_judged_by_the_parents_time(b: Bench) -> None:
    tx = b.trx(SECOND.address, 1, expiration=b.net.head.timestamp + 3_001)
    assert b.send(tx).code == "SUCCESS"
    b.net.mine(1, b.net.head.timestamp + 60_000)
    assert b.is_included(tx)
    assert b.net.head.timestamp > tx.expiration


def test_a_block_whose_parent_is_at_the_expiration_leaves_it_out(b: Bench) -> None:
    chain = b.net.chain
    tx = b.trx(SECOND.address, 1, expiration=b.net.head.timestamp + 3_000)
    chain.append(chain.next_timestamp(), [])
    assert chain.head.timestamp == tx.expiration
    chain.append(chain.next_timestamp(), [tx])
    assert not b.is_included(tx)


def test_identical_bytes_execute_once(b: Bench) -> None:
    tx = b.trx(SECOND.address, 7)
    before = b.sun(SECOND.address)
    b.net.chain.append(b.net.chain.next_timestamp(), [tx, tx])
    b.net.chain.append(b.net.chain.next_timestamp(), [tx])
    assert b.sun(SECOND.address) == before + 7


def test_solid_lags_and_never_goes_back(b: Bench) -> None:
    assert b.net.head.number - b.net.solid.number == 3
    solid = b.net.solid.number
    b.net.fork(3)
    assert b.net.solid.number >= solid
    with pytest.raises(ValueError, match="solid"):
        b.net.fork(4)
    with pytest.raises(ValueError, match="solid"):
        b.net.fork(0)


def test_the_solid_view_is_the_state_of_the_solid_block(b: Bench) -> None:
    node = b.net.nodes[0]
    before = b.sun(SECOND.address)
    tx = b.put(b.trx(SECOND.address, 9)).tx
    for lag in range(3, 0, -1):
        view = node.view(solid=True)
        assert view.find(tx.txid) is None, lag
        assert view.state.read(("account", raw(SECOND.address))).balance == before
        b.net.mine()
    view = node.view(solid=True)
    assert view.find(tx.txid) is not None
    assert view.state.read(("account", raw(SECOND.address))).balance == before + 9


class TestForks:
    def test_a_branch_is_longer_and_other(self, b: Bench) -> None:
        old = b.net.head
        b.net.fork(2)
        assert b.net.head.number == old.number + 1
        assert b.net.chain.blocks[old.number].id != old.id

    def test_what_is_kept_is_included_again(self, b: Bench) -> None:
        tx = b.put(b.usdt(SECOND.address, 1)).tx
        held = b.tokens(SECOND.address)
        assert b.net.fork(1) == []
        assert b.is_included(tx)
        assert b.tokens(SECOND.address) == held

    def test_what_is_dropped_vanishes_and_may_be_sent_again(self, b: Bench) -> None:
        tx = b.put(b.trx(SECOND.address, 5)).tx
        kept = b.put(b.trx(SECOND.address, 6)).tx
        held = b.sun(SECOND.address)
        assert b.net.fork(2, drop=[tx.txid]) == [tx.txid]
        assert b.is_included(kept)
        assert b.sun(SECOND.address) == held - 5
        b.net.mine(3)
        assert not b.is_included(tx)
        assert b.send(tx).code == "SUCCESS"
        b.net.mine()
        assert b.sun(SECOND.address) == held

    def test_all_can_be_dropped_and_queued_again(self, b: Bench) -> None:
        txs = [b.put(b.trx(SECOND.address, amount)).tx for amount in (1, 2)]
        assert len(b.net.fork(2, drop="all", requeue=True)) == 2
        assert all(tx.txid in b.net.nodes[1].pool.entries for tx in txs)
        b.net.mine()
        assert all(b.is_included(tx) for tx in txs)

    def test_reordering(self, b: Bench) -> None:
        first, second = (b.put(b.trx(SECOND.address, amount)).tx for amount in (1, 2))
        b.net.fork(2, reorder=True)
        assert [item.tx.txid for item in b.net.head.items] == [second.txid, first.txid]

    def test_an_order_that_is_no_longer_payable_loses_one(self, b: Bench) -> None:
        poor = wallet("poor")
        b.put(b.trx(poor.address, 3_000_000))
        b.put(b.trx(SECOND.address, 1_500_000, poor))
        gone = b.net.fork(2, reorder=True)
        assert len(gone) == 1

    def test_one_that_points_to_a_removed_block_is_lost(self, b: Bench) -> None:
        b.net.mine()
        head = b.net.head
        tx = b.trx(
            SECOND.address,
            1,
            ref_block_bytes=head.number.to_bytes(8, "big")[6:],
            ref_block_hash=head.id[8:16],
        )
        b.put(tx)
        assert b.net.fork(2) == [tx.txid]


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("trx"), st.integers(0, 2), st.integers(0, 2), st.integers(1, 10**12)),
        st.tuples(st.just("usdt"), st.integers(0, 2), st.integers(0, 2), st.integers(0, 10**13)),
        st.tuples(st.just("mine"), st.integers(1, 3)),
        st.tuples(st.just("fork"), st.integers(1, 3), st.booleans(), st.booleans(), st.booleans()),
        st.tuples(st.just("fund"), st.integers(0, 3), st.integers(0, 10**9)),
        st.tuples(st.just("blacklist"), st.integers(0, 2), st.booleans()),
    ),
    max_size=25,
)


class Story:
    """A random life of a chain, with a record of it."""

    def __init__(self) -> None:
        self.b = bench(nodes=1)
        self.people = [*(w.address for w in DEVNET_WALLETS), wallet("fresh").address]

    def tell(self, name: str, *arguments: int | bool) -> None:
        getattr(self, name)(*arguments)

    def trx(self, sender: int, to: int, amount: int) -> None:
        self.b.send(self.b.trx(self.people[to], amount, DEVNET_WALLETS[sender]))

    def usdt(self, sender: int, to: int, amount: int) -> None:
        self.b.send(self.b.usdt(self.people[to], amount, DEVNET_WALLETS[sender]))

    def mine(self, count: int) -> None:
        self.b.net.mine(count)

    def fork(self, depth: int, drop: bool, reorder: bool, requeue: bool) -> None:
        self.b.net.fork(depth, "all" if drop else (), reorder, requeue)

    def fund(self, who: int, amount: int) -> None:
        self.b.net.fund(self.people[who], amount, amount)

    def blacklist(self, who: int, blocked: bool) -> None:
        self.b.net.blacklist(self.people[who], blocked)


@settings(max_examples=40, deadline=None)
@given(OPERATIONS)
def test_tokens_are_conserved_and_every_version_of_the_state_is_right(
    operations: list[tuple[str, int]],
) -> None:
    story = Story()
    net = story.b.net
    records: list[dict[str, object]] = [net.chain._entry(block) for block in net.chain.blocks[1:]]
    net.chain._record = lambda entry: records.append(dict(entry))
    for name, *arguments in operations:
        story.tell(name, *arguments)

    held = sum(story.b.tokens(address) for address in story.people)
    assert held == net.chain.state.read(("supply",))
    assert_linked(net.chain.blocks)

    for top in (net.head.number, net.solid.number):
        again = replayed(net, records, top)
        seen = net.chain.state_at(top)
        for address in story.people:
            for kind in ("token", "account"):
                key = (kind, raw(address))
                assert plain(again.state.read(key)) == plain(seen.read(key))


def replayed(net: Devnet, records: list[dict[str, object]], top: int) -> Chain:
    """A fresh chain with the recorded edits and those blocks that were never popped, up to top."""
    kept: list[dict[str, object]] = []
    for entry in records:
        if entry["op"] == "pop":
            last = max(place for place, old in enumerate(kept) if old["op"] == "block")
            del kept[last]
        else:
            kept.append(entry)
    fresh = Chain(net.settings)
    for entry in kept:
        if entry["op"] == "amend" or fresh.head.number < top:
            fresh.replay(entry)
    return fresh


def plain(value: object) -> object:
    """An account without its creation time, which an edit takes from the head of its moment."""
    balance = getattr(value, "balance", None)
    return value if balance is None else balance


def test_a_journal_of_another_block_is_refused(b: Bench) -> None:
    entry = {**b.net.chain._entry(b.net.head), "id": "00" * 32}
    with pytest.raises(ValueError, match="can't be made again"):
        Chain(DevnetSettings()).replay(entry)


def test_the_wallet_is_funded_in_genesis() -> None:
    net = Devnet(DevnetSettings())
    assert net.head.number == 0
    assert net.wallet == HOT
    assert net.balance(HOT.address) == (
        net.settings.wallet_trx_sun,
        net.settings.wallet_token_units,
    )
