"""Single questions to one endpoint, and what of its answer is believed.

Each raises EndpointError when there is no usable answer, and BadAnswerError when the answer is not
what it says it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.tron.blocks import UNREADABLE, BadAnswerError, read_hit, verify_header
from adapters.tron.codec import transfer_call
from adapters.tron.endpoint import Endpoint, EndpointError, TooLargeError
from adapters.tron.protocol import address_to_hex
from models.chain import BlockRef, FeeRates, Hit, Simulation, SolidBlock, Transfer

BALANCE_OF = "70a08231"
IS_BLACKLISTED = "e47d6060"
"""First four bytes of the Keccak-256 of balanceOf(address) and isBlackListed(address)."""

RATE_KEYS = {
    "getEnergyFee": "energy",
    "getTransactionFee": "byte",
    "getCreateAccountFee": "account",
    "getCreateNewAccountFeeInSystemContract": "account_system",
    "getMaxFeeLimit": "max_fee_limit",
}


class BehindError(EndpointError):
    """The endpoint's solid `head` is below the block that it was asked for."""

    def __init__(self, number: int, head: int) -> None:
        super().__init__("BAD_ANSWER", f"block {number} is not solid here, {head} is")
        self.head = head


async def header_of(endpoint: Endpoint, path: str) -> BlockRef:
    return verify_header(await endpoint.post(path, {}))


async def genesis(endpoint: Endpoint) -> str:
    return verify_header(await endpoint.post("/wallet/getblockbynum", {"num": 0})).block_id


async def solid_header(endpoint: Endpoint, number: int) -> BlockRef:
    """A block by number in the solid view. Raises BehindError when it is above that view's head."""
    head = await header_of(endpoint, "/walletsolidity/getnowblock")
    if head.number < number:
        raise BehindError(number, head.number)
    block = verify_header(await endpoint.post("/walletsolidity/getblockbynum", {"num": number}))
    if block.number != number:
        raise BadAnswerError(f"asked for block {number}, got {block.number}")
    return block


async def solid_blocks(endpoint: Endpoint, first: int, count: int) -> Sequence[Any]:
    """Up to `count` blocks from number `first` on, as they came; half as many, and so on, when the
    answer is too large."""
    try:
        answer = await endpoint.post(
            "/walletsolidity/getblockbylimitnext", {"startNum": first, "endNum": first + count}
        )
    except TooLargeError:
        if count == 1:
            raise
        return await solid_blocks(endpoint, first, count // 2)
    if not isinstance(answer, dict) or not isinstance(answer.get("block"), list):
        raise BadAnswerError("a run of blocks is missing")
    blocks: list[Any] = answer["block"]
    return blocks[:count]


async def hits(endpoint: Endpoint, block: SolidBlock) -> Sequence[Hit]:
    ref = block.ref
    answer = await endpoint.post(
        "/walletsolidity/gettransactioninfobyblocknum", {"num": ref.number}
    )
    if not isinstance(answer, list):
        raise BadAnswerError(f"the infos of block {ref.number} are missing")
    infos = {str(info.get("id")): info for info in answer if isinstance(info, dict)}
    missing = [tx.txid for tx in block.owned if tx.txid not in infos]
    if missing:
        raise BadAnswerError(f"block {ref.number}: no info of {', '.join(missing)}")
    return [read_hit(tx, ref, infos[tx.txid]) for tx in block.owned]


async def account(endpoint: Endpoint, address: str) -> Mapping[str, Any]:
    """An account in the solid view; empty if there is none."""
    answer = await endpoint.post("/walletsolidity/getaccount", {"address": address_to_hex(address)})
    if not isinstance(answer, dict):
        raise BadAnswerError("an account is missing")
    if answer and answer.get("address") != address_to_hex(address):
        raise BadAnswerError("the account is another one")
    return answer


async def _constant(
    endpoint: Endpoint, path: str, owner: str, contract: str, data: str
) -> Mapping[str, Any]:
    answer = await endpoint.post(
        path,
        {
            "owner_address": address_to_hex(owner),
            "contract_address": address_to_hex(contract),
            "data": data,
        },
    )
    if not isinstance(answer, dict) or not isinstance(answer.get("result"), dict):
        raise BadAnswerError("a constant call has no result")
    return answer


async def token_balance(endpoint: Endpoint, contract: str, owner: str) -> int:
    """Base units of the token that an account holds in the solid view."""
    return await _token_view(endpoint, contract, BALANCE_OF, owner)


async def is_blacklisted(endpoint: Endpoint, contract: str, address: str) -> bool:
    """Whether the token's own blacklist has an address, in the solid view.

    `isBlackListed(address)` of Tether's contract (BlackList.sol); a token without such a list
    answers nothing that can be read.
    """
    return await _token_view(endpoint, contract, IS_BLACKLISTED, address) != 0


async def _token_view(endpoint: Endpoint, contract: str, selector: str, address: str) -> int:
    padded = address_to_hex(address)[2:].rjust(64, "0")
    answer = await _constant(
        endpoint,
        "/walletsolidity/triggerconstantcontract",
        address,
        contract,
        selector + padded,
    )
    try:
        if answer["result"].get("result") is not True:
            raise BadAnswerError("the token cannot be asked")
        return int(answer["constant_result"][0], 16)
    except UNREADABLE as error:
        raise BadAnswerError("the token's answer is no number") from error


async def simulate(endpoint: Endpoint, transfer: Transfer) -> Simulation:
    """A revert has `result.result` true too: the message or `ret` tells."""
    if transfer.contract is None:
        raise ValueError("only token transfers are simulated")
    answer = await _constant(
        endpoint,
        "/wallet/triggerconstantcontract",
        transfer.owner,
        transfer.contract,
        transfer_call(transfer).hex(),
    )
    result = answer["result"]
    if result.get("result") is not True and result.get("code") != "OTHER_ERROR":
        raise BadAnswerError(f"the node does not simulate: {result.get('code')}")
    try:
        ret = answer.get("transaction", {}).get("ret", [{}])[0].get("ret")
        message = bytes.fromhex(result.get("message", "")).decode("utf-8", "replace")
        energy = amount(answer.get("energy_used", 0))
    except UNREADABLE as error:
        raise BadAnswerError("a simulation cannot be read") from error
    return Simulation(energy, reverted=bool(message) or ret == "FAILED", message=message[:200])


async def fee_rates(endpoint: Endpoint) -> FeeRates:
    answer = await endpoint.post("/wallet/getchainparameters", {})
    try:
        found = {
            RATE_KEYS[entry["key"]]: amount(entry.get("value", 0))
            for entry in answer["chainParameter"]
            if entry["key"] in RATE_KEYS
        }
        return FeeRates(
            energy_sun=found["energy"],
            byte_sun=found["byte"],
            account_sun=found["account"] + found["account_system"],
            max_fee_limit_sun=found["max_fee_limit"],
        )
    except UNREADABLE as error:
        raise BadAnswerError("chain parameters are missing") from error


def broadcast_code(answer: Any) -> str:
    """SUCCESS or the code of a refusal; BAD_ANSWER for what a node would never say."""
    if not isinstance(answer, dict):
        return "BAD_ANSWER"
    if answer.get("result") is True:
        return "SUCCESS"
    code = answer.get("code")
    return (
        code if isinstance(code, str) and code.isidentifier() and len(code) < 64 else "BAD_ANSWER"
    )


def amount(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadAnswerError("not an amount")
    return value
