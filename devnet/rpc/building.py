"""Transactions that the node builds for a client to sign."""

from typing import Any, Final

from tronpy.proto import tron_pb2

from devnet import messages
from devnet.execution import execute
from devnet.refusal import RefusedError
from devnet.rpc.call import Answer, NodeError, Request
from devnet.state import Session
from devnet.transaction import Transaction

BUILD_LIFE_MS: Final = 60_000
"""Life of a transaction that the node builds, from the head's time."""


def build(request: Request, kind: str, message: Any, fee_limit: int = 0) -> Transaction:
    head, solid = request.node.chain.head, request.node.chain.solid
    request.node.built += 1
    raw_data = tron_pb2.Transaction.raw(
        ref_block_bytes=solid.number.to_bytes(8, "big")[6:],
        ref_block_hash=solid.id[8:16],
        expiration=head.timestamp + BUILD_LIFE_MS,
        timestamp=head.timestamp + request.node.built,
        fee_limit=fee_limit,
        contract=[messages.pack(kind, message, request.number("Permission_id"))],
    )
    return Transaction.of(tron_pb2.Transaction(raw_data=raw_data))


def create_transaction(request: Request) -> Answer:
    """Build a TRX transfer, which must be valid now."""
    message = tron_pb2.TransferContract(
        owner_address=request.address("owner_address"),
        to_address=request.address("to_address"),
        amount=request.number("amount"),
    )
    tx = build(request, "TransferContract", message)
    chain = request.node.chain
    try:
        execute(tx, Session(request.view.state), chain.head.timestamp, chain.token)
    except RefusedError as error:
        raise NodeError("org.tron.core.exception.ContractValidateException", error.text) from error
    return tx.to_json(request.visible)


def update_permissions(request: Request) -> Answer:
    """Build an account permission update."""
    kind = "AccountPermissionUpdateContract"
    message = messages.from_json(messages.CONTRACTS[kind], request.params, request.visible)
    return build(request, kind, message).to_json(request.visible)
