"""Changes of the state that no transaction makes: the devnet's hand of god.

An edit applies to every version of a value that the chain still knows, so it holds on each side of
a fork and in the solid view at once. Addresses come as 42 hex digits: an edit is plain JSON.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from devnet.state import Account, Key

Change = Callable[[Key, Callable[[Any], Any]], None]


def _fund(
    change: Change, now: int, *, address: str, trx_sun: int = 0, token_units: int = 0
) -> None:
    if min(trx_sun, token_units) < 0:
        raise ValueError("an account is funded with amounts of 0 or more")
    who = bytes.fromhex(address)
    if trx_sun:
        change(
            ("account", who), lambda account: (account or Account(created=now)).credited(trx_sun)
        )
    if token_units:
        change(("token", who), lambda held: (held or 0) + token_units)
        change(("supply",), lambda supply: (supply or 0) + token_units)


def _blacklist(change: Change, now: int, *, address: str, blocked: bool) -> None:
    change(("blacklist", bytes.fromhex(address)), lambda before: blocked)


def _pause(change: Change, now: int, *, paused: bool) -> None:
    change(("paused",), lambda before: paused)


def _stake(change: Change, now: int, *, address: str, bandwidth: int, energy: int) -> None:
    change(
        ("account", bytes.fromhex(address)),
        lambda account: replace(
            account or Account(created=now), net_limit=bandwidth, energy_limit=energy
        ),
    )


EDITS: Final[Mapping[str, Callable[..., None]]] = {
    "fund": _fund,
    "blacklist": _blacklist,
    "pause": _pause,
    "stake": _stake,
}
"""fund: add TRX (sun) and tokens (base units); blacklist: of the token; pause: the token's
transfers; stake: an account's bandwidth and energy a day."""
