"""What people have paused, as the stored gates tell it: for the metrics, and in words."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from models.money import Currency
from models.pause import ALL, WALLET, Activity, Pause
from ports.observer import Observer
from ports.store import Gate

_SHOWN: Final = (
    *((what, target) for what in Activity for target in (ALL, *Currency)),
    (Activity.DISPATCH, WALLET),
)
"""Every label that a pause can have in the metrics."""


def pauses_in(gates: Iterable[Gate]) -> Mapping[Pause, Gate]:
    """The pauses among closed gates."""
    found = ((Pause.of(gate.name), gate) for gate in gates)
    return {pause: gate for pause, gate in found if pause is not None}


def described(pause: Pause, gate: Gate) -> str:
    """What is paused and why, for people."""
    return f"{pause}: {gate.reason}"


def show_pauses(observer: Observer, pauses: Collection[Pause]) -> None:
    """Set `payout_paused` for everything that can be paused."""
    now = {(pause.what, pause.target) for pause in pauses}
    for what, target in _SHOWN:
        observer.gauge("payout_paused", float((what, target) in now), what=what, target=target)
