"""The token contract: its description, and calls that change nothing."""

from tronpy.proto import tron_pb2

from devnet import render
from devnet.crypto import keccak256
from devnet.rpc.building import build
from devnet.rpc.call import Answer, Request
from devnet.settings import MAX_FEE_LIMIT
from devnet.state import Session
from devnet.token import CallResult, call
from devnet.transaction import Transaction


def contract(request: Request) -> Answer:
    """A contract with its ABI."""
    chain = request.node.chain
    if request.address("value") != chain.token:
        return {}
    return render.contract(chain.token, chain.witnesses[0].address, request.visible)


def contract_info(request: Request) -> Answer:
    """A contract with the state of its energy factor, which is zero here."""
    found = contract(request)
    return {"smart_contract": found, "runtimecode": "", "contract_state": {}} if found else {}


def trigger_constant(request: Request) -> Answer:
    """Run a call without a transaction; a revert is a result with a message, not a failure."""
    data = _call_data(request)
    result = _simulate(request, data)
    if result is None:
        return _no_contract()
    reverted = result.reverted is not None
    tx = _trigger(request, data)
    answer = {
        "result": {"result": True},
        "energy_used": result.energy,
        "constant_result": [result.returned.hex()],
        "logs": [render.log(entry) for entry in result.logs],
        "transaction": {"ret": [{"ret": "FAILED"} if reverted else {}], **tx.to_json()},
    }
    if reverted:
        message = b"REVERT opcode executed".hex()
        answer["result"] = {"result": True, "message": message}
    return render.present(answer)


def trigger_contract(request: Request) -> Answer:
    """Build the transaction of a call; a call that changes nothing is answered at once."""
    data = _call_data(request)
    result = _simulate(request, data)
    if result is None:
        return _no_contract()
    if not result.moves and not result.logs and result.reverted is None:
        return trigger_constant(request)
    if not 0 <= request.number("fee_limit") <= MAX_FEE_LIMIT:
        text = f"Contract validate error : feeLimit must be >= 0 and <= {MAX_FEE_LIMIT}"
        return {"result": {"code": "CONTRACT_VALIDATE_ERROR", "message": text.encode().hex()}}
    tx = _trigger(request, data)
    return {"result": {"result": True}, "transaction": tx.to_json(request.visible)}


def estimate_energy(request: Request) -> Answer:
    """The energy that a call needs."""
    result = _simulate(request, _call_data(request))
    if result is None:
        return _no_contract()
    if result.reverted is not None:
        text = "Contract execute error : REVERT opcode executed"
        return {"result": {"code": "CONTRACT_EXE_ERROR", "message": text.encode().hex()}}
    return {"result": {"result": True}, "energy_required": result.energy}


def _call_data(request: Request) -> bytes:
    selector = request.text("function_selector")
    if not selector:
        return request.data("data")
    return keccak256(selector.encode())[:4] + request.data("parameter")


def _trigger(request: Request, data: bytes) -> Transaction:
    message = tron_pb2.TriggerSmartContract(
        owner_address=request.address("owner_address"),
        contract_address=request.address("contract_address"),
        call_value=request.number("call_value"),
        data=data,
    )
    fee_limit = request.number("fee_limit")
    return build(request, "TriggerSmartContract", message, fee_limit)


def _simulate(request: Request, data: bytes) -> CallResult | None:
    if request.address("contract_address") != request.node.chain.token:
        return None
    state = Session(request.view.state)
    owner, value = request.address("owner_address"), request.number("call_value")
    return call(state, request.node.chain.token, owner, data, value)


def _no_contract() -> Answer:
    text = "Contract validate error : Smart contract is not exist."
    return {"result": {"code": "CONTRACT_VALIDATE_ERROR", "message": text.encode().hex()}}
