"""The devnet's TRC20: like USDT, with 6 decimals, a blacklist and a pause switch.

As the real contract does, `transfer` returns zero on success, so `contractResult` tells nothing.
Unlike the real one, a blacklisted recipient is refused too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters.tron.protocol import ADDRESS_PREFIX
from devnet.crypto import keccak256
from devnet.state import Session

WORD: Final = 32
TRANSFER_TOPIC: Final = keccak256(b"Transfer(address,address,uint256)")
APPROVAL_TOPIC: Final = keccak256(b"Approval(address,address,uint256)")

VIEW_ENERGY: Final = 560
REVERT_ENERGY: Final = 2_950
HOLDER_ENERGY: Final = 64_285
"""Energy of a transfer to somebody who holds the token."""
FRESH_ENERGY: Final = 130_285
"""Energy of a transfer to somebody who holds none: a storage slot is taken."""
ALLOWANCE_ENERGY: Final = 7_600
"""What `transferFrom` costs above a transfer."""
APPROVE_ENERGY: Final = 22_695


@dataclass(frozen=True, slots=True)
class Log:
    """One event: address with its 41, topics and data as bytes."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Move:
    """Money that really moved, in base units, whatever the logs say."""

    sender: bytes
    recipient: bytes
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a call did. `reverted` is the reason of a revert, None where there was none."""

    energy: int
    returned: bytes
    logs: tuple[Log, ...] = ()
    moves: tuple[Move, ...] = ()
    reverted: str | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    state: Session
    token: bytes
    caller: bytes
    words: tuple[bytes, ...]

    def address(self, place: int) -> bytes:
        return bytes([ADDRESS_PREFIX]) + self.words[place][-20:]

    def number(self, place: int) -> int:
        return int.from_bytes(self.words[place], "big")


class _RevertError(Exception):
    pass


def call(state: Session, token: bytes, caller: bytes, data: bytes, value: int = 0) -> CallResult:
    """Run a call of the token at `token` over a state, which a revert leaves as it was.

    `value` is the TRX sent along (sun); the token takes none.
    """
    method = METHODS.get(data[:4])
    try:
        if method is None or value:
            raise _RevertError("")
        words = tuple(data[place : place + WORD] for place in range(4, len(data), WORD))
        if len(words) < len(method.inputs) or any(len(word) != WORD for word in words):
            raise _RevertError("")
        return method.run(_Call(state, token, caller, words))
    except _RevertError as error:
        reason = str(error)
        return CallResult(REVERT_ENERGY, encode_revert(reason), reverted=reason)


def transfer_of(data: bytes) -> bytes | None:
    """The recipient of a `transfer` or `transferFrom` in call data, else None."""
    method = METHODS.get(data[:4])
    place = {"transfer": 0, "transferFrom": 1}.get(method.name) if method else None
    if place is None or len(data) < 4 + WORD * (place + 1):
        return None
    start = 4 + WORD * place
    return bytes([ADDRESS_PREFIX]) + data[start + 12 : start + WORD]


def encode_revert(reason: str) -> bytes:
    """The return data of `revert(reason)`; nothing for an empty reason."""
    if not reason:
        return b""
    return bytes.fromhex("08c379a0") + _word(WORD) + _text(reason)[WORD:]


def encode_transfer_log(token: bytes, sender: bytes, recipient: bytes, amount: int) -> Log:
    """The Transfer event."""
    return _event(token, TRANSFER_TOPIC, sender, recipient, amount)


def _event(token: bytes, topic: bytes, first: bytes, second: bytes, amount: int) -> Log:
    return Log(token, (topic, _word(first[1:]), _word(second[1:])), _word(amount))


def _word(value: int | bytes) -> bytes:
    return value.to_bytes(WORD, "big") if isinstance(value, int) else value.rjust(WORD, b"\0")


def _text(value: str) -> bytes:
    raw = value.encode()
    padded = raw.ljust((len(raw) + WORD - 1) // WORD * WORD, b"\0")
    return _word(WORD) + _word(len(raw)) + padded


def _read(state: Session, *key: str | bytes) -> int:
    found: int | None = state.read(key)
    return found or 0


def _view(answer: Callable[[_Call], bytes]) -> Callable[[_Call], CallResult]:
    return lambda made: CallResult(VIEW_ENERGY, answer(made))


def _move(made: _Call, sender: bytes, recipient: bytes, amount: int, extra: int) -> CallResult:
    state = made.state
    if state.read(("paused",)):
        raise _RevertError("paused")
    if any(state.read(("blacklist", who)) for who in (made.caller, sender, recipient)):
        raise _RevertError("")
    held = _read(state, "token", sender)
    if held < amount:
        raise _RevertError("SafeMath: subtraction overflow")
    fresh = amount > 0 and _read(state, "token", recipient) == 0
    state.write(("token", sender), held - amount)
    state.write(("token", recipient), _read(state, "token", recipient) + amount)
    return CallResult(
        (FRESH_ENERGY if fresh else HOLDER_ENERGY) + extra,
        _word(0),
        (encode_transfer_log(made.token, sender, recipient, amount),),
        (Move(sender, recipient, amount, "USDT"),),
    )


def _transfer(made: _Call) -> CallResult:
    return _move(made, made.caller, made.address(0), made.number(1), 0)


def _transfer_from(made: _Call) -> CallResult:
    sender, amount = made.address(0), made.number(2)
    allowed = _read(made.state, "allowance", sender, made.caller)
    if allowed < amount:
        raise _RevertError("SafeMath: subtraction overflow")
    result = _move(made, sender, made.address(1), amount, ALLOWANCE_ENERGY)
    made.state.write(("allowance", sender, made.caller), allowed - amount)
    return result


def _approve(made: _Call) -> CallResult:
    spender, amount = made.address(0), made.number(1)
    made.state.write(("allowance", made.caller, spender), amount)
    log = _event(made.token, APPROVAL_TOPIC, made.caller, spender, amount)
    return CallResult(APPROVE_ENERGY, _word(0), (log,))


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the token, as its ABI describes it."""

    name: str
    inputs: tuple[tuple[str, str], ...]
    output: str
    run: Callable[[_Call], CallResult]
    view: bool = True

    @property
    def selector(self) -> bytes:
        """The first four bytes of call data."""
        return keccak256(f"{self.name}({','.join(kind for _, kind in self.inputs)})".encode())[:4]

    def to_json(self) -> dict[str, Any]:
        """The ABI entry as a node writes it."""
        entry: dict[str, Any] = {"name": self.name, "type": "Function"}
        if self.inputs:
            entry["inputs"] = [{"name": name, "type": kind} for name, kind in self.inputs]
        entry["outputs"] = [{"type": self.output}]
        entry["stateMutability"] = "View" if self.view else "Nonpayable"
        return entry if not self.view else {"constant": True, **entry}


_WHO: Final = ("who", "address")
_SPENDER: Final = ("spender", "address")
_TO: Final = ("to", "address")
_VALUE: Final = ("value", "uint256")

METHODS: Final[Mapping[bytes, Method]] = {
    method.selector: method
    for method in (
        Method("name", (), "string", _view(lambda made: _text("Tether USD"))),
        Method("symbol", (), "string", _view(lambda made: _text("USDT"))),
        Method("decimals", (), "uint8", _view(lambda made: _word(6))),
        Method("totalSupply", (), "uint256", _view(lambda m: _word(_read(m.state, "supply")))),
        Method("paused", (), "bool", _view(lambda m: _word(_read(m.state, "paused")))),
        Method(
            "balanceOf",
            (_WHO,),
            "uint256",
            _view(lambda m: _word(_read(m.state, "token", m.address(0)))),
        ),
        Method(
            "isBlackListed",
            (_WHO,),
            "bool",
            _view(lambda m: _word(_read(m.state, "blacklist", m.address(0)))),
        ),
        Method(
            "allowance",
            (("owner", "address"), _SPENDER),
            "uint256",
            _view(lambda m: _word(_read(m.state, "allowance", m.address(0), m.address(1)))),
        ),
        Method("transfer", (_TO, _VALUE), "bool", _transfer, view=False),
        Method(
            "transferFrom", (("from", "address"), _TO, _VALUE), "bool", _transfer_from, view=False
        ),
        Method("approve", (_SPENDER, _VALUE), "bool", _approve, view=False),
    )
}
"""Every method of the token by its selector."""

_EVENTS: Final = (("Transfer", "from", "to"), ("Approval", "owner", "spender"))

ABI: Final[Mapping[str, Any]] = {
    "entrys": [method.to_json() for method in METHODS.values()]
    + [
        {
            "name": name,
            "type": "Event",
            "inputs": [
                {"indexed": True, "name": first, "type": "address"},
                {"indexed": True, "name": second, "type": "address"},
                {"name": "value", "type": "uint256"},
            ],
        }
        for name, first, second in _EVENTS
    ]
}
"""The token's ABI as `getcontract` shows it."""
