"""What can be paused, and how its gate is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.money import Currency
from models.pause import Activity, Pause, is_pause
from tests.factories import OWNER

INTAKE, DISPATCH = Activity.INTAKE, Activity.DISPATCH
PAUSES = [
    (Pause(DISPATCH), "pause:dispatch", "pause:dispatch", "all", "dispatch is paused"),
    (
        Pause(DISPATCH, Currency.TRX),
        "pause:dispatch:TRX",
        "pause:dispatch:TRX",
        "TRX",
        "dispatch of TRX is paused",
    ),
    (
        Pause(DISPATCH, wallet=OWNER),
        f"pause:dispatch:{OWNER}",
        "pause:dispatch:wallet",
        "wallet",
        f"dispatch from {OWNER} is paused",
    ),
    (Pause(INTAKE), "pause:intake", "pause:intake", "all", "intake is paused"),
    (
        Pause(INTAKE, Currency.USDT),
        "pause:intake:USDT",
        "pause:intake:USDT",
        "USDT",
        "intake of USDT is paused",
    ),
]


@pytest.mark.parametrize(("pause", "gate", "name", "target", "text"), PAUSES)
def test_names(pause: Pause, gate: str, name: str, target: str, text: str) -> None:
    assert (pause.gate, pause.name, pause.target, str(pause)) == (gate, name, target, text)
    assert Pause.of(gate) == pause
    assert is_pause(gate)
    assert is_pause(name)


@pytest.mark.parametrize(
    "name",
    [
        "frozen",
        "restored",
        f"wallet:{OWNER}",
        "pause",
        "pause:",
        "pause:reading",
        "pause:intake:",
        "pauses:intake",
    ],
)
def test_other_gates_are_no_pauses(name: str) -> None:
    assert Pause.of(name) is None
    assert not is_pause(name)


def test_a_wallet_has_no_intake() -> None:
    with pytest.raises(ValueError, match="dispatch only"):
        Pause(INTAKE, wallet=OWNER)
    assert Pause.of(f"pause:intake:{OWNER}") is None


@pytest.mark.parametrize("what", Activity)
def test_a_currency_and_a_wallet_are_two_pauses(what: Activity) -> None:
    with pytest.raises(ValueError, match="together"):
        Pause(what, Currency.USDT, OWNER)


@given(st.text() | st.from_regex("pause:(intake|dispatch)?:?(USDT)?.?", fullmatch=True))
def test_a_name_is_that_of_no_pause_or_of_one(name: str) -> None:
    pause = Pause.of(name)
    assert pause is None or pause.gate == name
