"""The control of a devnet over HTTP: time, money, faults and forks, as JSON under /devnet."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from devnet.block import Block
from devnet.faults import KINDS, Fault
from devnet.network import DEVNET_WALLETS, Network

MAX_MINED: Final = 10_000
"""Blocks that one call makes at most."""

Payload = Mapping[str, Any]


class ControlError(Exception):
    """A control call that can't be served."""

    def __init__(self, status: int, text: str) -> None:
        """Carry the HTTP status of the answer."""
        super().__init__(text)
        self.status = status


def control(net: Network, method: str, path: str, payload: Payload) -> Any:
    """Serve a control call.

    Raises ControlError for a path or method that is not there and for fields that don't fit, and
    ValueError for values out of range.
    """
    methods = _ROUTES.get(path)
    if methods is None:
        raise ControlError(404, f"no such call; there are {', '.join(_ROUTES)}")
    action = methods.get(method)
    if action is None:
        raise ControlError(405, f"{path} takes {', '.join(methods)}")
    return action(net, payload)


def _only(payload: Payload, *allowed: str) -> Payload:
    unknown = payload.keys() - set(allowed)
    if unknown:
        raise ControlError(400, f"unknown field {', '.join(sorted(unknown))}")
    return payload


def _address(payload: Payload) -> str:
    if "address" not in payload:
        raise ControlError(400, "address is missing")
    return str(payload["address"])


def _point(block: Block) -> dict[str, Any]:
    return {"number": block.number, "id": block.id.hex(), "timestamp": block.timestamp}


def _state(net: Network, _: Payload) -> Any:
    settings = {
        **asdict(net.settings),
        "data": str(net.settings.data) if net.settings.data else None,
    }
    return {
        "head": _point(net.head),
        "solid": _point(net.solid),
        "genesis_id": net.genesis_id,
        "token": net.token,
        "pending": [len(node.pool.entries) for node in net.nodes],
        "wallets": [wallet.address for wallet in DEVNET_WALLETS],
        "settings": settings,
    }


def _mine(net: Network, payload: Payload) -> Any:
    count = int(_only(payload, "count").get("count", 1))
    if not 1 <= count <= MAX_MINED:
        raise ControlError(400, f"count is 1 to {MAX_MINED}")
    net.mine(count)
    return _state(net, {})


def _fund(net: Network, payload: Payload) -> Any:
    fields = _only(payload, "address", "trx_sun", "token_units")
    address = _address(fields)
    net.fund(address, int(fields.get("trx_sun", 0)), int(fields.get("token_units", 0)))
    return _balance(net, {"address": address})


def _balance(net: Network, payload: Payload) -> Any:
    address = _address(_only(payload, "address"))
    sun, units = net.balance(address)
    return {"address": address, "trx_sun": sun, "token_units": units}


def _stake(net: Network, payload: Payload) -> Any:
    fields = _only(payload, "address", "bandwidth", "energy")
    net.stake(_address(fields), int(fields.get("bandwidth", 0)), int(fields.get("energy", 0)))
    return dict(fields)


def _blacklist(net: Network, payload: Payload) -> Any:
    fields = _only(payload, "address", "blocked")
    net.blacklist(_address(fields), bool(fields.get("blocked", True)))
    return dict(fields)


def _pause(net: Network, payload: Payload) -> Any:
    paused = bool(_only(payload, "paused").get("paused", True))
    net.pause(paused)
    return {"paused": paused}


def _faults(net: Network, _: Payload) -> Any:
    return {"faults": [dict(fault) for fault in net.faults]}


def _add_fault(net: Network, payload: Payload) -> Any:
    fields = _only(payload, "kind", "value", "node", "count", "path", "recipient")
    if "kind" not in fields:
        raise ControlError(400, f"kind is missing: one of {', '.join(KINDS)}")
    net.faults.add(Fault(**fields))
    return _faults(net, {})


def _clear_faults(net: Network, payload: Payload) -> Any:
    kind = _only(payload, "kind").get("kind")
    net.faults.clear(kind)
    return _faults(net, {})


def _fork(net: Network, payload: Payload) -> Any:
    fields = _only(payload, "depth", "drop", "reorder", "requeue")
    gone = net.fork(
        int(fields.get("depth", 1)),
        fields.get("drop", ()),
        bool(fields.get("reorder", False)),
        bool(fields.get("requeue", False)),
    )
    return {"removed": gone, **_state(net, {})}


def _calls(net: Network, _: Payload) -> Any:
    return net.calls()


def _reset_calls(net: Network, _: Payload) -> Any:
    net.reset_calls()
    return net.calls()


def _ledger(net: Network, payload: Payload) -> Any:
    owner = _only(payload, "from").get("from")
    return {
        "transfers": [
            {
                "txid": row.txid,
                "from": row.sender,
                "to": row.recipient,
                "amount": row.amount,
                "currency": row.currency,
                "block": row.block,
                "solid": row.solid,
            }
            for row in net.ledger(owner)
        ]
    }


def _index(_: Network, __: Payload) -> Any:
    return {
        "calls": {path: list(methods) for path, methods in _ROUTES.items()},
        "faults": {
            name: {"about": kind.about, "value": kind.default, "choices": kind.choices}
            for name, kind in KINDS.items()
        },
    }


_ROUTES: Final[Mapping[str, Mapping[str, Callable[[Network, Payload], Any]]]] = {
    "/devnet": {"GET": _index},
    "/devnet/state": {"GET": _state},
    "/devnet/mine": {"POST": _mine},
    "/devnet/fund": {"POST": _fund},
    "/devnet/balance": {"GET": _balance},
    "/devnet/stake": {"POST": _stake},
    "/devnet/blacklist": {"POST": _blacklist},
    "/devnet/pause": {"POST": _pause},
    "/devnet/faults": {"GET": _faults, "POST": _add_fault, "DELETE": _clear_faults},
    "/devnet/fork": {"POST": _fork},
    "/devnet/calls": {"GET": _calls, "DELETE": _reset_calls},
    "/devnet/ledger": {"GET": _ledger},
}
