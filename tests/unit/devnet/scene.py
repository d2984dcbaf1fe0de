"""Making transactions for a devnet in tests."""

from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Any

from tronpy.proto import tron_pb2

from adapters.tron.protocol import address_to_hex, hex_to_address
from devnet import messages
from devnet.block import Included
from devnet.crypto import address_of, keccak256, sign
from devnet.devnet import Devnet
from devnet.network import DEVNET_WALLETS, Wallet
from devnet.node import Verdict
from devnet.settings import DevnetSettings
from devnet.transaction import Transaction

PATH = "/wallet/broadcasthex"
HOT = DEVNET_WALLETS[0]
SECOND = DEVNET_WALLETS[1]


def wallet(name: str) -> Wallet:
    """A key of its own for a name; its account is not activated."""
    key = sha256(name.encode()).hexdigest()
    return Wallet(key, hex_to_address(address_of(key).hex()))


def raw(address: str) -> bytes:
    return bytes.fromhex(address_to_hex(address))


def call_data(signature: str, *arguments: str | int) -> bytes:
    words = [
        raw(value)[1:].rjust(32, b"\0") if isinstance(value, str) else value.to_bytes(32, "big")
        for value in arguments
    ]
    return keccak256(signature.encode())[:4] + b"".join(words)


@dataclass
class Bench:
    """A devnet and short ways to use it."""

    net: Devnet
    stamps: Any = field(default_factory=lambda: count(1))

    def build(self, kind: str, message: Any, *signers: Wallet, **fields: Any) -> Transaction:
        """A signed transaction; `fields` override those of `raw_data`, and `permission_id`."""
        head, solid = self.net.head, self.net.solid
        contract = messages.pack(kind, message, fields.pop("permission_id", 0))
        values = {
            "ref_block_bytes": solid.number.to_bytes(8, "big")[6:],
            "ref_block_hash": solid.id[8:16],
            "expiration": head.timestamp + 60_000,
            "timestamp": next(self.stamps),
            "contract": [contract],
        } | fields
        data = tron_pb2.Transaction.raw(**values)
        digest = sha256(data.SerializeToString()).digest()
        signatures = [sign(signer.private_key, digest) for signer in signers]
        return Transaction.of(tron_pb2.Transaction(raw_data=data, signature=signatures))

    def trx(self, to: str, amount: int, owner: Wallet = HOT, **fields: Any) -> Transaction:
        signers = fields.pop("signers", (owner,))
        message = tron_pb2.TransferContract(
            owner_address=raw(owner.address), to_address=raw(to), amount=amount
        )
        return self.build("TransferContract", message, *signers, **fields)

    def call(self, data: bytes, owner: Wallet = HOT, **fields: Any) -> Transaction:
        message = tron_pb2.TriggerSmartContract(
            owner_address=raw(owner.address),
            contract_address=raw(fields.pop("contract", self.net.token)),
            data=data,
            call_value=fields.pop("call_value", 0),
        )
        fields.setdefault("fee_limit", 100_000_000)
        signers = fields.pop("signers", (owner,))
        return self.build("TriggerSmartContract", message, *signers, **fields)

    def usdt(self, to: str, amount: int, owner: Wallet = HOT, **fields: Any) -> Transaction:
        return self.call(call_data("transfer(address,uint256)", to, amount), owner, **fields)

    def send(self, tx: Transaction, node: int = 0) -> Verdict:
        return self.net.nodes[node].broadcast(tx, PATH)

    def put(self, tx: Transaction) -> Included:
        """Broadcast, mine and return what the block holds."""
        verdict = self.send(tx)
        assert verdict == Verdict(), verdict
        self.net.mine()
        found = self.net.chain.find(tx.txid)
        assert found is not None
        return found[1]

    def is_included(self, tx: Transaction) -> bool:
        return self.net.chain.find(tx.txid) is not None

    def tokens(self, address: str) -> int:
        return self.net.balance(address)[1]

    def sun(self, address: str) -> int:
        return self.net.balance(address)[0]


def bench(**settings: Any) -> Bench:
    """A bench over a devnet of two endpoints with a few blocks and a short solid lag."""
    made = Bench(Devnet(DevnetSettings(**{"nodes": 2, "solid_lag": 3} | settings)))
    made.net.mine(5)
    return made
