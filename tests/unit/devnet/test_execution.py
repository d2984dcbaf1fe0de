"""What transactions do and what they cost."""

from typing import Any

import pytest

from devnet import messages, render
from devnet.faults import Fault
from devnet.settings import FREE_NET_LIMIT, MEMO_FEE, MULTI_SIGN_FEE
from devnet.state import Session
from devnet.token import FRESH_ENERGY, HOLDER_ENERGY, METHODS, REVERT_ENERGY, call, encode_revert
from tests.unit.devnet.scene import HOT, SECOND, Bench, bench, call_data, raw, wallet

FRESH = wallet("fresh").address


@pytest.fixture
def b() -> Bench:
    return bench()


class TestBandwidth:
    def test_free_quota_then_burning(self, b: Bench) -> None:
        size = b.trx(SECOND.address, 1).bandwidth
        assert 2 * size <= FREE_NET_LIMIT < 3 * size
        seen = [b.put(b.trx(SECOND.address, 1)).receipt for _ in range(3)]
        assert [(r.net_usage, r.net_fee, r.fee) for r in seen] == [
            (size, 0, 0),
            (size, 0, 0),
            (0, size * 1_000, size * 1_000),
        ]

    def test_free_quota_recovers_within_a_day(self, b: Bench) -> None:
        for _ in range(2):
            b.put(b.trx(SECOND.address, 1))
        b.net.mine(1, b.net.head.timestamp + 86_400_000)
        assert b.put(b.trx(SECOND.address, 1)).receipt.net_fee == 0

    def test_stake_goes_first(self, b: Bench) -> None:
        b.net.stake(HOT.address, bandwidth=1_000)
        tx = b.put(b.trx(SECOND.address, 1)).tx
        account = b.net.chain.state.read(("account", raw(HOT.address)))
        assert account.net.used == tx.bandwidth
        assert account.free_net.used == 0

    def test_activation_burns_and_never_uses_the_free_quota(self, b: Bench) -> None:
        receipt = b.put(b.trx(FRESH, 5)).receipt
        assert (receipt.fee, receipt.net_fee, receipt.net_usage) == (1_100_000, 100_000, 0)
        assert b.sun(FRESH) == 5

    def test_activation_with_staked_bandwidth(self, b: Bench) -> None:
        b.net.stake(HOT.address, bandwidth=1_000)
        item = b.put(b.trx(FRESH, 5))
        assert (item.receipt.fee, item.receipt.net_usage) == (1_000_000, item.tx.bandwidth)

    def test_memo(self, b: Bench) -> None:
        assert b.put(b.trx(SECOND.address, 1, data=b"hi")).receipt.fee == MEMO_FEE

    def test_what_is_paid_is_gone(self, b: Bench) -> None:
        before = b.sun(HOT.address)
        receipt = b.put(b.trx(FRESH, 5)).receipt
        assert b.sun(HOT.address) == before - 5 - receipt.fee


class TestEnergy:
    def test_a_holder_and_a_fresh_recipient(self, b: Bench) -> None:
        holder = b.put(b.usdt(SECOND.address, 1)).receipt
        fresh = b.put(b.usdt(FRESH, 1)).receipt
        again = b.put(b.usdt(FRESH, 1)).receipt
        assert [r.energy_total for r in (holder, fresh, again)] == [
            HOLDER_ENERGY,
            FRESH_ENERGY,
            HOLDER_ENERGY,
        ]
        assert holder.energy_fee == HOLDER_ENERGY * 100

    def test_no_account_is_made_for_a_token_recipient(self, b: Bench) -> None:
        b.put(b.usdt(FRESH, 1))
        assert b.net.chain.state.read(("account", raw(FRESH))) is None
        assert b.tokens(FRESH) == 1

    def test_stake_goes_first(self, b: Bench) -> None:
        b.net.stake(HOT.address, energy=50_000)
        receipt = b.put(b.usdt(SECOND.address, 1)).receipt
        assert (receipt.energy_usage, receipt.energy_fee) == (
            50_000,
            (HOLDER_ENERGY - 50_000) * 100,
        )

    def test_out_of_energy_charges_the_whole_limit(self, b: Bench) -> None:
        before = b.tokens(SECOND.address)
        receipt = b.put(b.usdt(SECOND.address, 1, fee_limit=6_000_000)).receipt
        assert (receipt.contract_ret, receipt.energy_total) == ("OUT_OF_ENERGY", 60_000)
        assert receipt.energy_fee == 6_000_000
        assert (receipt.logs, receipt.moves) == ((), ())
        assert b.tokens(SECOND.address) == before

    def test_the_fee_limit_caps_staked_energy_too(self, b: Bench) -> None:
        b.net.stake(HOT.address, energy=1_000_000)
        receipt = b.put(b.usdt(SECOND.address, 1, fee_limit=6_000_000)).receipt
        assert (receipt.contract_ret, receipt.energy_usage, receipt.energy_fee) == (
            "OUT_OF_ENERGY",
            60_000,
            0,
        )

    def test_the_balance_caps_it(self, b: Bench) -> None:
        poor = wallet("poor")
        b.net.fund(poor.address, trx_sun=3_000_000, token_units=10)
        receipt = b.put(b.usdt(SECOND.address, 1, poor)).receipt
        assert (receipt.contract_ret, receipt.energy_total) == ("OUT_OF_ENERGY", 30_000)
        assert b.sun(poor.address) == 0

    def test_a_revert_charges_what_it_used(self, b: Bench) -> None:
        receipt = b.put(b.usdt(SECOND.address, 10**30)).receipt
        assert (receipt.contract_ret, receipt.energy_total) == ("REVERT", REVERT_ENERGY)
        assert (receipt.logs, receipt.moves) == ((), ())

    @pytest.mark.parametrize(
        ("result", "logs"), [("REVERT", 0), ("OUT_OF_ENERGY", 0), ("OUT_OF_TIME", 1)]
    )
    def test_forced_results_move_nothing(self, b: Bench, result: str, logs: int) -> None:
        before = b.tokens(SECOND.address)
        b.net.faults.add(Fault(kind="force_result", value=result, count=1))
        item = b.put(b.usdt(SECOND.address, 5))
        assert (item.receipt.contract_ret, len(item.receipt.logs)) == (result, logs)
        assert b.tokens(SECOND.address) == before
        b.net.fork(1)
        assert b.net.chain.find(item.tx.txid)[1].receipt.contract_ret == result  # type: ignore[index]
        assert b.put(b.usdt(SECOND.address, 5)).receipt.contract_ret == "SUCCESS"

    @pytest.mark.parametrize("log", ["missing", "doubled", "wrong_amount", "wrong_recipient"])
    def test_spoiled_logs_still_move_the_money(self, b: Bench, log: str) -> None:
        honest = b.put(b.usdt(SECOND.address, 5)).receipt.logs
        before = b.tokens(SECOND.address)
        b.net.faults.add(Fault(kind="transfer_log", value=log, recipient=SECOND.address, count=1))
        other = b.put(b.usdt(FRESH, 5)).receipt
        assert len(other.logs) == 1
        receipt = b.put(b.usdt(SECOND.address, 5)).receipt
        assert receipt.contract_ret == "SUCCESS"
        assert receipt.logs != honest
        assert b.tokens(SECOND.address) == before + 5
        assert [m.amount for m in receipt.moves] == [5]


class TestToken:
    def view(self, b: Bench, data: bytes) -> int:
        state = Session(b.net.chain.state)
        result = call(state, raw(b.net.token), raw(HOT.address), data)
        assert result.reverted is None
        return int.from_bytes(result.returned[-32:], "big")

    def test_reading(self, b: Bench) -> None:
        held = b.tokens(HOT.address)
        assert self.view(b, call_data("balanceOf(address)", HOT.address)) == held
        assert self.view(b, call_data("decimals()")) == 6
        assert self.view(b, call_data("totalSupply()")) == 3 * held
        assert self.view(b, call_data("paused()")) == 0

    @pytest.mark.parametrize("blocked", [HOT.address, SECOND.address])
    def test_blacklist(self, b: Bench, blocked: str) -> None:
        b.net.blacklist(blocked)
        assert self.view(b, call_data("isBlackListed(address)", blocked)) == 1
        assert b.put(b.usdt(SECOND.address, 1)).receipt.contract_ret == "REVERT"
        b.net.blacklist(blocked, False)
        assert b.put(b.usdt(SECOND.address, 1)).receipt.contract_ret == "SUCCESS"

    def test_what_was_spent_in_the_same_block_is_gone(self, b: Bench) -> None:
        txs = [b.usdt(SECOND.address, b.tokens(HOT.address)) for _ in range(2)]
        for tx in txs:
            assert b.send(tx).code == "SUCCESS"
        b.net.mine()
        results = [item.receipt.contract_ret for item in b.net.head.items]
        assert results == ["SUCCESS", "REVERT"]
        assert b.tokens(HOT.address) == 0

    def test_pause(self, b: Bench) -> None:
        b.net.pause()
        assert b.put(b.usdt(SECOND.address, 1)).receipt.contract_ret == "REVERT"
        b.net.pause(False)
        assert b.put(b.usdt(SECOND.address, 1)).receipt.contract_ret == "SUCCESS"

    def test_allowance(self, b: Bench) -> None:
        spend = call_data("transferFrom(address,address,uint256)", HOT.address, FRESH, 30)
        assert b.put(b.call(spend, SECOND)).receipt.contract_ret == "REVERT"
        b.put(b.call(call_data("approve(address,uint256)", SECOND.address, 50)))
        assert b.put(b.call(spend, SECOND)).receipt.contract_ret == "SUCCESS"
        left = call_data("allowance(address,address)", HOT.address, SECOND.address)
        assert self.view(b, left) == 20
        assert b.put(b.call(spend, SECOND)).receipt.contract_ret == "REVERT"
        assert b.tokens(FRESH) == 30

    @pytest.mark.parametrize(
        "data", [b"", b"\1\2\3\4", call_data("transfer(address,uint256)", SECOND.address)[:40]]
    )
    def test_what_is_no_call_reverts(self, b: Bench, data: bytes) -> None:
        assert b.put(b.call(data)).receipt.contract_ret == "REVERT"

    def test_trx_sent_along_reverts(self, b: Bench) -> None:
        before = b.sun(HOT.address)
        tx = b.call(call_data("transfer(address,uint256)", FRESH, 1), call_value=5)
        receipt = b.put(tx).receipt
        assert receipt.contract_ret == "REVERT"
        assert b.sun(HOT.address) == before - receipt.fee

    def test_success_returns_zero_as_usdt_does(self, b: Bench) -> None:
        assert b.put(b.usdt(SECOND.address, 1)).receipt.returned == bytes(32)

    def test_selectors(self) -> None:
        names = {selector.hex(): method.name for selector, method in METHODS.items()}
        assert names["a9059cbb"] == "transfer"
        assert names["70a08231"] == "balanceOf"
        assert names["23b872dd"] == "transferFrom"

    def test_a_reason_is_an_error_string(self) -> None:
        encoded = encode_revert("paused")
        assert encoded[:4].hex() == "08c379a0"
        assert encoded[4 + 64 : 4 + 70] == b"paused"
        assert encode_revert("") == b""


class TestPermissions:
    TRANSFERS = "02000080" + "00" * 28

    def permission(self, *keys: str, name: str = "active", threshold: int = 1) -> dict[str, Any]:
        return {
            "type": "Active",
            "permission_name": name,
            "threshold": threshold,
            "operations": self.TRANSFERS,
            "keys": [{"address": raw(key).hex(), "weight": 1} for key in keys],
        }

    def update(self, b: Bench, *actives: dict[str, Any], **owner: Any) -> Any:
        kind = "AccountPermissionUpdateContract"
        own = {"permission_name": "owner", "threshold": 1}
        own |= {"keys": [{"address": raw(HOT.address).hex(), "weight": 1}]} | owner
        values = {"owner_address": raw(HOT.address).hex(), "owner": own, "actives": list(actives)}
        message = messages.from_json(messages.CONTRACTS[kind], values)
        return b.build(kind, message, HOT)

    def test_a_hot_key_may_transfer_and_nothing_else(self, b: Bench) -> None:
        hot = wallet("hot")
        receipt = b.put(self.update(b, self.permission(hot.address))).receipt
        assert receipt.fee == 100_000_000
        for tx in (
            b.trx(SECOND.address, 1, signers=(hot,), permission_id=2),
            b.usdt(SECOND.address, 1, signers=(hot,), permission_id=2),
            b.trx(SECOND.address, 1),
        ):
            assert b.send(tx).code == "SUCCESS"
        assert b.send(b.trx(SECOND.address, 1, signers=(hot,))).code == "SIGERROR"
        assert b.send(b.trx(SECOND.address, 1, permission_id=2)).code == "SIGERROR"
        update = self.update(b, self.permission(hot.address)).raw_data.contract[0]
        update.Permission_id = 2
        denied = b.trx(SECOND.address, 1, signers=(hot,), contract=[update])
        assert b.send(denied).text == "Validate signature error: Permission denied"

    def test_two_of_two(self, b: Bench) -> None:
        one, two = wallet("one"), wallet("two")
        active = self.permission(one.address, two.address, threshold=2)
        b.put(self.update(b, active))
        alone = b.trx(SECOND.address, 1, signers=(one,), permission_id=2)
        assert b.send(alone).text == "Validate signature error: sig error"
        twice = b.trx(SECOND.address, 1, signers=(one, one), permission_id=2)
        assert "has signed twice!" in b.send(twice).text
        both = b.trx(SECOND.address, 1, signers=(one, two), permission_id=2)
        receipt = b.put(both).receipt
        assert receipt.fee - receipt.net_fee == MULTI_SIGN_FEE

    @pytest.mark.parametrize(
        "bad",
        [
            {"keys": []},
            {"threshold": 0},
            {"threshold": 2},
            {"operations": "00"},
            {"keys": [{"address": raw(HOT.address).hex(), "weight": 0}]},
            {"keys": [{"address": "41", "weight": 1}]},
            {"keys": [{"address": raw(HOT.address).hex(), "weight": 1}] * 2},
        ],
    )
    def test_invalid_permissions(self, b: Bench, bad: dict[str, Any]) -> None:
        active = self.permission(HOT.address) | bad
        assert b.send(self.update(b, active)).code == "CONTRACT_VALIDATE_ERROR"

    def test_no_active_permission(self, b: Bench) -> None:
        assert b.send(self.update(b)).code == "CONTRACT_VALIDATE_ERROR"

    def test_it_costs_more_than_a_small_balance(self, b: Bench) -> None:
        poor = wallet("poor")
        b.net.fund(poor.address, trx_sun=50_000_000)
        contract = self.update(b, self.permission(HOT.address)).contract
        contract.owner_address = raw(poor.address)
        tx = b.build("AccountPermissionUpdateContract", contract, poor)
        assert b.send(tx).code == "CONTRACT_EXE_ERROR"

    def test_default_permissions_are_shown(self, b: Bench) -> None:
        account = b.net.chain.state.read(("account", raw(HOT.address)))
        shown = render.account(raw(HOT.address), account, 0, visible=True)
        assert shown["owner_permission"]["keys"] == [{"address": HOT.address, "weight": 1}]
        assert [active["id"] for active in shown["active_permission"]] == [2]
