"""Taking transactions in, showing what is pending, and judging signatures."""

import json
from typing import Any

from google.protobuf.message import DecodeError

from devnet import render
from devnet.execution import permission_of
from devnet.faults import Occasion
from devnet.node import Verdict
from devnet.permissions import signers_of
from devnet.refusal import RefusedError
from devnet.rpc.call import Answer, NodeError, Request, sent_transaction, transaction_of
from devnet.transaction import Transaction


def _message(text: str, visible: bool) -> str:
    return text if visible else text.encode().hex()


def broadcast_transaction(request: Request) -> Answer:
    """Take a transaction as JSON."""
    tx = sent_transaction(request.path, request.params)
    verdict = request.node.broadcast(tx, request.path)
    if verdict.code == "SUCCESS":
        return {"result": True, "txid": tx.txid}
    text = _message(verdict.text, request.visible)
    return {"code": verdict.code, "txid": tx.txid, "message": text}


def broadcast_hex(request: Request) -> Answer:
    """Take a transaction as the hex of its protobuf bytes."""
    try:
        tx = sent_transaction(request.path, request.params)
    except DecodeError as error:
        raise NodeError("com.google.protobuf.InvalidProtocolBufferException", str(error)) from error
    verdict = request.node.broadcast(tx, request.path)
    return {
        "result": verdict == Verdict(),
        "code": verdict.code,
        "message": verdict.text,
        "transaction": json.dumps(tx.to_json(request.visible)),
        "txid": tx.txid,
    }


def pending_transaction(request: Request) -> Answer:
    """A transaction in this node's pool."""
    pending = request.node.pool.entries.get(request.text("value"))
    if pending is None:
        return {}
    occasion = Occasion(request.node.number, request.path, pending.tx.recipient)
    if request.node.faults.take("hide_transaction", occasion):
        return {}
    return render.transaction(pending.tx, pending.receipt, request.visible)


def pending_list(request: Request) -> Answer:
    """The txids in this node's pool."""
    return render.present({"txId": list(request.node.pool.entries)})


def pending_size(request: Request) -> Answer:
    """How many transactions are in this node's pool."""
    return {"pendingSize": len(request.node.pool.entries)}


def sign_weight(request: Request) -> Answer:
    """How far a transaction's signatures go towards its permission."""
    tx = transaction_of(request.params)
    wrapped = {"result": {"result": True}, "txid": tx.txid, "transaction": _shown(request, tx)}
    permission = None
    if tx.contract is not None:
        permission = permission_of(request.view.state, tx.owner, tx.permission_id)
    if permission is None:
        result = {"code": "PERMISSION_ERROR", "message": "Permission for this does not exist!"}
        return {"result": result, "transaction": wrapped}
    try:
        signers = signers_of(tx.digest, tx.signatures)
    except RefusedError as error:
        result = {"code": "SIGNATURE_FORMAT_ERROR", "message": error.text}
        return {"result": result, "transaction": wrapped}
    weight = permission.weight_of(signers)
    enough = weight >= permission.threshold
    answer = {
        "permission": permission.to_json(request.visible),
        "approved_list": [render.address_text(signer, request.visible) for signer in signers],
        "current_weight": weight,
    }
    return {
        **render.present(answer),
        "result": {} if enough else {"code": "NOT_ENOUGH_PERMISSION"},
        "transaction": wrapped,
    }


def approved_list(request: Request) -> Answer:
    """The addresses that signed a transaction."""
    tx = transaction_of(request.params)
    try:
        signers = signers_of(tx.digest, tx.signatures)
    except RefusedError as error:
        return {"result": {"code": "SIGNATURE_FORMAT_ERROR", "message": error.text}}
    approved = [render.address_text(signer, request.visible) for signer in signers]
    wrapped = {"result": {"result": True}, "txid": tx.txid, "transaction": _shown(request, tx)}
    return render.present({"approved_list": approved}) | {"result": {}, "transaction": wrapped}


def _shown(request: Request, tx: Transaction) -> dict[str, Any]:
    return tx.to_json(request.visible)
