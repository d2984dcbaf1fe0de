"""What a transaction does to the state and what it costs.

Order and texts of the checks: `Manager.processTransaction`, `BandwidthProcessor`,
`TransferActuator`, `VMActuator`. All amounts in sun, bytes or units of energy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from adapters.tron.protocol import hex_to_address
from devnet.permissions import (
    FIRST_ACTIVE_ID,
    MAX_ACTIVES,
    Permission,
    check_signatures,
    permission_from_message,
)
from devnet.refusal import RefusedError, invalid
from devnet.settings import (
    CREATE_ACCOUNT_FEE,
    ENERGY_FEE,
    FREE_NET_LIMIT,
    MAX_FEE_LIMIT,
    MEMO_FEE,
    MULTI_SIGN_FEE,
    NEW_ACCOUNT_SYSTEM_FEE,
    PERMISSION_UPDATE_FEE,
    TRANSACTION_FEE,
)
from devnet.state import Account, Reader, Session, account_of
from devnet.token import CallResult, Log, Move, call, encode_transfer_log
from devnet.transaction import Transaction

ADDRESS_LENGTH: Final = 21


@dataclass(frozen=True, slots=True)
class Effect:
    """A fault that is bound to one transaction and so happens wherever it is executed.

    `result` forces a contract result (REVERT, OUT_OF_ENERGY, OUT_OF_TIME); `log` spoils the
    Transfer event of a successful transfer: missing, doubled, wrong_amount or wrong_recipient.
    """

    result: str | None = None
    log: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The outcome of a transaction that is in a block, or would be."""

    contract_ret: str = "SUCCESS"
    fee: int = 0
    net_usage: int = 0
    net_fee: int = 0
    energy_usage: int = 0
    energy_fee: int = 0
    energy_total: int = 0
    logs: tuple[Log, ...] = ()
    returned: bytes = b""
    message: str = ""
    moves: tuple[Move, ...] = ()
    contract: bytes = b""


def execute(
    tx: Transaction, state: Session, now: int, token: bytes, effect: Effect | None = None
) -> Receipt:
    """Check signatures, bill and run one transaction over `state`, which it changes only on
    success. `now` is the head's time (milliseconds).

    Raises RefusedError with the code and text that a node gives.
    """
    work = Session(state)
    receipt = bill(tx, work, now)
    receipt = _RUNNERS[tx.kind](tx, work, now, _Context(token, effect, receipt))
    state.merge(work)
    return receipt


def check_permission(tx: Transaction, state: Reader) -> None:
    """Raise RefusedError (SIGERROR) unless the signatures satisfy the permission that the
    transaction names.
    """
    if tx.contract is None:
        raise invalid(f"contract type {tx.kind or 'unknown'} is not executed here")
    contract_type = tx.raw_data.contract[0].type
    permission = permission_of(state, tx.owner, tx.permission_id)
    check_signatures(permission, contract_type, tx.digest, tx.signatures)


def permission_of(state: Reader, owner: bytes, permission_id: int) -> Permission | None:
    """A permission of an account; one that is not activated has the default ones."""
    account = account_of(state, owner) or Account(created=0)
    if permission_id == 0:
        return account.owner_permission(owner)
    actives = account.active_permissions(owner)
    return next((active for active in actives if active.id == permission_id), None)


def bill(tx: Transaction, state: Session, now: int) -> Receipt:
    """Charge bandwidth, multi-signature and memo fees."""
    owner = account_of(state, tx.owner)
    if owner is None:
        raise invalid(f"account [{_name(tx.owner)}] does not exist")
    creates = tx.kind == "TransferContract" and account_of(state, _target(tx)) is None
    owner, usage, net_fee = _take_bandwidth(owner, tx.bandwidth, now, creates)
    extra = (MULTI_SIGN_FEE if len(tx.signatures) > 1 else 0) + (MEMO_FEE if _memo(tx) else 0)
    if owner.balance < net_fee + extra:
        raise RefusedError("BANDWITH_ERROR")
    state.write(("account", tx.owner), owner.credited(-net_fee - extra))
    return Receipt(fee=net_fee + extra, net_usage=usage, net_fee=net_fee)


def _take_bandwidth(owner: Account, size: int, now: int, creates: bool) -> tuple[Account, int, int]:
    """The account after paying for bandwidth, the bytes used and the sun to burn: from stake, then
    the free quota (not where an account is created), then by burning; all or nothing.
    """
    if owner.net.now(now) + size <= owner.net_limit:
        return replace(owner, net=owner.net.add(size, now)), size, 0
    if creates:
        return owner, 0, CREATE_ACCOUNT_FEE
    if owner.free_net.now(now) + size <= FREE_NET_LIMIT:
        return replace(owner, free_net=owner.free_net.add(size, now)), size, 0
    return owner, 0, size * TRANSACTION_FEE


@dataclass(frozen=True, slots=True)
class _Context:
    token: bytes
    effect: Effect | None
    receipt: Receipt


def _transfer(tx: Transaction, state: Session, now: int, context: _Context) -> Receipt:
    contract: Any = tx.contract
    to, amount = _target(tx), int(contract.amount)
    owner, target = account_of(state, tx.owner), account_of(state, to)
    fee = NEW_ACCOUNT_SYSTEM_FEE if target is None else 0
    problem = _transfer_problem(tx.owner, owner, to, amount, fee, context.token)
    if problem or owner is None:
        raise invalid(problem)
    state.write(("account", tx.owner), owner.credited(-amount - fee))
    state.write(("account", to), (target or Account(created=now)).credited(amount))
    return replace(
        context.receipt,
        fee=context.receipt.fee + fee,
        moves=(Move(tx.owner, to, amount, "TRX"),),
    )


def _transfer_problem(
    sender: bytes, owner: Account | None, to: bytes, amount: int, fee: int, token: bytes
) -> str:
    checks: tuple[tuple[bool, str], ...] = (
        (not is_address(sender), "Invalid ownerAddress!"),
        (not is_address(to), "Invalid toAddress!"),
        (sender == to, "Cannot transfer TRX to yourself."),
        (owner is None, "Validate TransferContract error, no OwnerAccount."),
        (amount <= 0, "Amount must be greater than 0."),
        (to == token, "Cannot transfer TRX to a smartContract."),
        (
            owner is not None and owner.balance < amount + fee,
            "Validate TransferContract error, balance is not sufficient.",
        ),
    )
    return next((text for failed, text in checks if failed), "")


def _trigger(tx: Transaction, state: Session, now: int, context: _Context) -> Receipt:
    contract: Any = tx.contract
    fee_limit = int(tx.raw_data.fee_limit)
    if not 0 <= fee_limit <= MAX_FEE_LIMIT:
        raise invalid(f"feeLimit must be >= 0 and <= {MAX_FEE_LIMIT}")
    if contract.contract_address != context.token:
        raise invalid("No contract or not a smart contract")
    owner = account_of(state, tx.owner)
    if owner is None or owner.balance < contract.call_value or contract.call_value < 0:
        raise invalid("Validate InternalTransfer error, balance is not sufficient.")
    staked = max(owner.energy_limit - owner.energy.now(now), 0)
    affordable = staked + (owner.balance - contract.call_value) // ENERGY_FEE
    limit = min(affordable, fee_limit // ENERGY_FEE)

    work = Session(state)
    result = call(work, context.token, tx.owner, contract.data, contract.call_value)
    outcome = _outcome(result, limit, context.effect, context.token)
    if outcome.contract_ret == "SUCCESS":
        state.merge(work)
    energy = outcome.energy_total
    usage = min(staked, energy)
    burned = (energy - usage) * ENERGY_FEE
    charged = replace(owner.credited(-burned), energy=owner.energy.add(usage, now))
    state.write(("account", tx.owner), charged)
    return replace(
        outcome,
        fee=context.receipt.fee + burned,
        net_usage=context.receipt.net_usage,
        net_fee=context.receipt.net_fee,
        energy_usage=usage,
        energy_fee=burned,
        contract=context.token,
    )


def _outcome(result: CallResult, limit: int, effect: Effect | None, token: bytes) -> Receipt:
    """The result of a call under an energy limit: a revert costs what it used, any other failure
    the whole limit; only OUT_OF_TIME keeps the logs of what did not happen.
    """
    forced = effect.result if effect and result.moves else None
    if result.energy > limit or forced == "OUT_OF_ENERGY":
        text = f"Not enough energy for 'SSTORE' operation executing: curInvokeEnergyLimit[{limit}]"
        return Receipt("OUT_OF_ENERGY", energy_total=limit, message=text)
    if forced == "OUT_OF_TIME":
        text = "CPU timeout for 'SSTORE' operation executing"
        return Receipt("OUT_OF_TIME", energy_total=limit, message=text, logs=result.logs)
    if result.reverted is not None or forced == "REVERT":
        returned = b"" if result.reverted is None else result.returned
        text = "REVERT opcode executed"
        return Receipt("REVERT", energy_total=result.energy, message=text, returned=returned)
    return Receipt(
        energy_total=result.energy,
        logs=_spoiled(result, effect, token),
        returned=result.returned,
        moves=result.moves,
    )


def _spoiled(result: CallResult, effect: Effect | None, token: bytes) -> tuple[Log, ...]:
    if effect is None or effect.log is None or not result.moves:
        return result.logs
    move = result.moves[0]
    altered: Mapping[str, tuple[Log, ...]] = {
        "missing": (),
        "doubled": result.logs * 2,
        "wrong_amount": (encode_transfer_log(token, move.sender, move.recipient, move.amount + 1),),
        "wrong_recipient": (encode_transfer_log(token, move.sender, token, move.amount),),
    }
    return altered[effect.log]


def _update_permissions(tx: Transaction, state: Session, now: int, context: _Context) -> Receipt:
    contract: Any = tx.contract
    owner = account_of(state, tx.owner)
    if owner is None:
        raise invalid("ownerAddress account does not exist")
    if not contract.HasField("owner"):
        raise invalid("owner permission is missed")
    if not 1 <= len(contract.actives) <= MAX_ACTIVES:
        raise invalid("active permission is missed or too many")
    try:
        permission = permission_from_message(contract.owner, 0)
        actives = tuple(
            permission_from_message(active, FIRST_ACTIVE_ID + place)
            for place, active in enumerate(contract.actives)
        )
    except ValueError as error:
        raise invalid(str(error)) from error
    if owner.balance < PERMISSION_UPDATE_FEE:
        raise RefusedError(
            "CONTRACT_EXE_ERROR", f"Contract execute error : {_name(tx.owner)} insufficient balance"
        )
    paid = owner.credited(-PERMISSION_UPDATE_FEE)
    state.write(("account", tx.owner), replace(paid, owner=permission, actives=actives))
    return replace(context.receipt, fee=context.receipt.fee + PERMISSION_UPDATE_FEE)


_RUNNERS: Final[Mapping[str, Callable[[Transaction, Session, int, _Context], Receipt]]] = {
    "TransferContract": _transfer,
    "TriggerSmartContract": _trigger,
    "AccountPermissionUpdateContract": _update_permissions,
}


def is_address(address: bytes) -> bool:
    """Whether bytes have the form of an address."""
    return len(address) == ADDRESS_LENGTH and address[0] == 0x41


def _name(address: bytes) -> str:
    return hex_to_address(address.hex()) if is_address(address) else address.hex()


def _target(tx: Transaction) -> bytes:
    return tx.recipient or b""


def _memo(tx: Transaction) -> bytes:
    memo: bytes = tx.raw_data.data
    return memo
