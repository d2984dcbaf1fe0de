"""Blocks, included transactions and their results."""

from typing import Final

from devnet.distortion import shown_block, shown_info, shown_transaction
from devnet.rpc.broadcasting import pending_transaction
from devnet.rpc.call import Answer, NodeError, Request

MAX_BLOCKS: Final = 100
"""Blocks in one answer of getblockbylimitnext and getblockbylatestnum."""


def transaction_by_id(request: Request) -> Answer:
    """A transaction that is included, or (not of the solid view) pending on this node."""
    txid = request.text("value")
    found = request.view.find(txid)
    if found is not None:
        block, item = found
        return shown_transaction(request.node, block, item, request.visible)
    return {} if request.solid else pending_transaction(request)


def transaction_info(request: Request) -> Answer:
    """The result of an included transaction."""
    found = request.view.find(request.text("value"))
    return {} if found is None else shown_info(request.node, *found, request.visible)


def infos_of_block(request: Request) -> Answer:
    """The results of a block's transactions."""
    number = request.number("num")
    if number <= 0:
        return {}
    block = request.view.block(number)
    if block is None:
        return []
    infos = [shown_info(request.node, block, item, request.visible) for item in block.items]
    return [info for info in infos if info]


def now_block(request: Request) -> Answer:
    """The newest block."""
    return shown_block(request.node, request.view.newest, request.visible)


def block_by_number(request: Request) -> Answer:
    """A block by its number."""
    block = request.view.block(request.number("num"))
    return {} if block is None else shown_block(request.node, block, request.visible)


def block_by_id(request: Request) -> Answer:
    """A block by its id."""
    block = request.view.block_by_id(request.data("value"))
    return {} if block is None else shown_block(request.node, block, request.visible)


def any_block(request: Request) -> Answer:
    """A block by id or number, by default the newest; without transactions unless `detail`."""
    view, wanted = request.view, request.text("id_or_num")
    if not wanted:
        block = view.newest
    elif len(wanted) == 64:
        found = view.block_by_id(bytes.fromhex(wanted))
        if found is None:
            return {}
        block = found
    elif wanted.isdecimal():
        numbered = view.block(int(wanted))
        if numbered is None:
            return {}
        block = numbered
    else:
        raise NodeError("java.lang.IllegalArgumentException", "id_or_num is not a number or an id")
    return shown_block(request.node, block, request.visible, request.flag("detail", False))


def blocks_by_range(request: Request) -> Answer:
    """The blocks from startNum up to, not including, endNum; at most 100."""
    start, end = request.number("startNum"), request.number("endNum")
    if start < 0 or not 0 < end - start <= MAX_BLOCKS:
        return {}
    return _blocks(request, range(start, end))


def latest_blocks(request: Request) -> Answer:
    """The newest blocks, oldest first; fewer than 100."""
    count, top = request.number("num"), request.view.top
    if not 0 < count < MAX_BLOCKS:
        return {}
    return _blocks(request, range(max(top - count + 1, 0), top + 1))


def _blocks(request: Request, numbers: range) -> Answer:
    view = request.view
    found = (view.block(number) for number in numbers)
    blocks = [shown_block(request.node, block, request.visible) for block in found if block]
    return {"block": blocks} if blocks else {}
