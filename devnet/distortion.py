"""Blocks, transactions and infos as an endpoint shows them: true, or as its faults have it."""

from typing import Any

from adapters.tron.protocol import block_id, header_bytes
from devnet import render
from devnet.block import Block, Included
from devnet.faults import Fault, Occasion
from devnet.node import Node


def shown_block(node: Node, block: Block, visible: bool, detail: bool = True) -> dict[str, Any]:
    """A block as this endpoint serves it."""
    content = render.block(block, visible, detail)
    if node.faults.any_of("omit_transactions", "alter_result") and "transactions" in content:
        _distort_transactions(node, block, content)
    if node.faults.take("break_parent", Occasion(node.number)):
        _break_parent(block, content)
    return content


def shown_transaction(node: Node, block: Block, item: Included, visible: bool) -> dict[str, Any]:
    """An included transaction as this endpoint serves it; `{}` where a fault hides it."""
    if _take(node, "hide_transaction", item):
        return {}
    content = render.transaction(item.tx, item.receipt, visible)
    altered = _take(node, "alter_result", item)
    return _with_result(content, altered) if altered else content


def shown_info(node: Node, block: Block, item: Included, visible: bool) -> dict[str, Any]:
    """A transaction's info as this endpoint serves it; `{}` where a fault hides it."""
    if _take(node, "hide_info", item):
        return {}
    content = render.info(block, item, visible)
    other = _take(node, "info_block", item)
    if other:
        content["blockNumber"] += int(other.value or 0)
    result = _take(node, "info_result", item)
    if result:
        content["receipt"]["result"] = result.value
        content.pop("result", None)
        if result.value != "SUCCESS":
            content["result"] = "FAILED"
    return content


def _distort_transactions(node: Node, block: Block, content: dict[str, Any]) -> None:
    shown = []
    for item, entry in zip(block.items, content["transactions"], strict=True):
        if _take(node, "omit_transactions", item):
            continue
        altered = _take(node, "alter_result", item)
        shown.append(_with_result(entry, altered) if altered else entry)
    content["transactions"] = shown
    if not shown:
        del content["transactions"]


def _break_parent(block: Block, content: dict[str, Any]) -> None:
    header = {**block.header(), "parentHash": block.id.hex()}
    content["block_header"]["raw_data"]["parentHash"] = block.id.hex()
    content["blockID"] = block_id(block.number, header_bytes(header)).hex()


def _with_result(content: dict[str, Any], fault: Fault) -> dict[str, Any]:
    return {**content, "ret": [{"contractRet": fault.value}]}


def _take(node: Node, kind: str, item: Included) -> Fault | None:
    return node.faults.take(kind, Occasion(node.number, recipient=item.tx.recipient))
