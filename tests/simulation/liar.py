"""A node that serves a chain of its own making: every header gives its id, every block follows the
one before, and none of our transactions is in any of them.

Nothing in a single answer shows it, because nobody checks who signed a block. Only the other nodes
do, which is why a death needs a second one.
"""

from collections.abc import Mapping
from typing import Any

from devnet import render
from devnet.block import Block, make_block
from devnet.chain import Chain


class FalseChain:
    """The true chain up to what is solid now, and empty blocks from there on."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._base = chain.solid_number
        self._made = [chain.solid]

    def answer(self, path: str, body: Mapping[str, Any]) -> Any:
        """What the liar says; None where it has nothing of its own to say."""
        top = self._chain.solid_number
        if path == "/walletsolidity/getnowblock":
            return render.block(self._block(top), visible=False)
        if path == "/walletsolidity/getblockbynum" and self._base < body["num"] <= top:
            return render.block(self._block(body["num"]), visible=False)
        if path == "/walletsolidity/getblockbylimitnext":
            numbers = range(body["startNum"], min(body["endNum"], top + 1))
            return {"block": [render.block(self._block(n), visible=False) for n in numbers]}
        if path == "/walletsolidity/gettransactioninfobyblocknum" and body["num"] > self._base:
            return []
        return None

    def _block(self, number: int) -> Block:
        if number <= self._base:
            return self._chain.blocks[number]
        while self._made[-1].number < number:
            parent = self._made[-1]
            stamp = parent.timestamp + self._chain.settings.block_interval_ms
            witness = self._chain.witnesses[0]
            self._made.append(make_block(parent, stamp, 0, witness, (), {}))
        return self._made[number - self._base]
