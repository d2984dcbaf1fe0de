"""Nodes that serve another chain than ours.

A stranger serves another network's, whose genesis block gives it away. A liar is a node that serves
a chain of its own making: every header gives its id, every block follows the one before, and none
of our transactions is in any of them, or has the outcome there that the liar likes.

Nothing in a single answer shows it, because nobody checks who signed a block. Only the other nodes
do, which is why a death needs a second one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from devnet import render
from devnet.block import Block, Included, make_block
from devnet.execution import execute
from devnet.network import Network
from devnet.node import Node
from devnet.refusal import RefusedError
from devnet.rpc.call import Request, sent_transaction
from devnet.rpc.table import HANDLERS
from devnet.settings import DevnetSettings
from devnet.state import Session
from devnet.transaction import Transaction

BROADCAST = "/wallet/broadcasthex"


class Lies(Protocol):
    """What a node says that is not of our chain."""

    def answer(self, path: str, body: Mapping[str, Any]) -> Any:
        """The answer; None where the node says what it would say anyway."""


class FalseChain:
    """The true chain up to what is solid now, and blocks of the liar's own from there on.

    They are empty, or hold as `makes_up` (SUCCESS, REVERT …) what was sent to the liar, who
    relays none of it from then on.
    """

    def __init__(self, node: Node, makes_up: str | None = None) -> None:
        self._chain = node.chain
        self._base = node.chain.solid_number
        self._made = [node.chain.solid]
        self._makes_up = makes_up
        waiting = [] if makes_up is None else [entry.tx for entry in node.pool.entries.values()]
        self._sent = {tx.txid: tx for tx in waiting}

    def answer(self, path: str, body: Mapping[str, Any]) -> Any:
        """What the liar says; None where it has nothing of its own to say."""
        top = self._chain.solid_number
        if path == BROADCAST and self._makes_up is not None:
            tx = sent_transaction(path, body)
            self._sent[tx.txid] = tx
            return {"result": True, "txid": tx.txid}
        if path == "/walletsolidity/getnowblock":
            return render.block(self._block(top), visible=False)
        if path == "/walletsolidity/getblockbynum" and self._base < body["num"] <= top:
            return render.block(self._block(body["num"]), visible=False)
        if path == "/walletsolidity/getblockbylimitnext":
            numbers = range(body["startNum"], min(body["endNum"], top + 1))
            return {"block": [render.block(self._block(n), visible=False) for n in numbers]}
        if (
            path == "/walletsolidity/gettransactioninfobyblocknum"
            and self._base < body["num"] <= top
        ):
            block = self._block(body["num"])
            return [render.info(block, item, visible=False) for item in block.items]
        return None

    def _block(self, number: int) -> Block:
        if number <= self._base:
            return self._chain.blocks[number]
        while self._made[-1].number < number:
            parent = self._made[-1]
            stamp = parent.timestamp + self._chain.settings.block_interval_ms
            witness = self._chain.witnesses[0]
            self._made.append(make_block(parent, stamp, 0, witness, self._items(), {}))
        return self._made[number - self._base]

    def _items(self) -> Sequence[Included]:
        """What was sent since the last block, with the outcome that the liar gives it."""
        found = [self._included(tx) for tx in self._sent.values()]
        self._sent.clear()
        return [item for item in found if item is not None]

    def _included(self, tx: Transaction) -> Included | None:
        chain = self._chain
        try:
            receipt = execute(tx, Session(chain.state), chain.head.timestamp, chain.token, None)
        except RefusedError:
            return None
        if self._makes_up == "SUCCESS":
            return Included(tx, receipt)
        return Included(tx, replace(receipt, contract_ret=self._makes_up, logs=(), moves=()))


class Withholding:
    """The true blocks under their true ids, without their transactions and with a root that fits:
    only that an id is its header's hash gives it away."""

    def __init__(self, node: Node) -> None:
        self._chain = node.chain

    def answer(self, path: str, body: Mapping[str, Any]) -> Any:
        """The emptied blocks; None for everything else."""
        top = self._chain.solid_number
        if path == "/walletsolidity/getnowblock":
            return self._emptied(top)
        if path == "/walletsolidity/getblockbynum" and body["num"] <= top:
            return self._emptied(body["num"])
        if path == "/walletsolidity/getblockbylimitnext":
            numbers = range(body["startNum"], min(body["endNum"], top + 1))
            return {"block": [self._emptied(number) for number in numbers]}
        return None

    def _emptied(self, number: int) -> Any:
        told = render.block(self._chain.blocks[number], visible=False)
        told.pop("transactions", None)
        told["block_header"]["raw_data"].pop("txTrieRoot", None)
        return told


class OtherChain:
    """A node of another network; `told` hears what is broadcast to it."""

    def __init__(self, settings: DevnetSettings, told: Callable[[str], None]) -> None:
        self._node = Network(replace(settings, network="another", nodes=1)).nodes[0]
        self._told = told

    def answer(self, path: str, body: Mapping[str, Any]) -> Any:
        """What that network's node says."""
        if path == BROADCAST:
            self._told("bytes were sent to a node of another chain")
        return HANDLERS[path](Request(self._node, path, path.startswith("/walletsolidity/"), body))
