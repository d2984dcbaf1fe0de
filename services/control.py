"""Control: what people stop, and let go on. Every such act is kept for the audit log first."""

from collections.abc import Mapping, Sequence

import structlog

from models.caller import Caller
from models.errors import PayoutError
from models.pause import Pause
from ports.observer import Observer
from ports.signals import Wakeups
from ports.store import Gate, PayoutStore
from services.acts import Acts
from services.pauses import pauses_in, show_pauses

log = structlog.get_logger(__name__)

OPEN = "open"


class Control:
    """Shows and opens gates, pauses and resumes; `wallet` is the one that pays here.

    Gates are stored: what is said here holds for every replica from its next look on.
    """

    def __init__(
        self,
        *,
        store: PayoutStore,
        acts: Acts,
        wakeups: Wakeups,
        observer: Observer,
        wallet: str,
    ) -> None:
        self._store = store
        self._acts = acts
        self._wakeups = wakeups
        self._observer = observer
        self._wallet = wallet

    async def gates(self, caller: Caller) -> Sequence[Gate]:
        """What is closed and why, pauses included."""
        caller.require("gate:view")
        return await self._store.gates()

    async def open_gate(self, caller: Caller, name: str, reason: str) -> None:
        """Open a gate. Raises PayoutError P010 when no gate of that name is closed, P500 for the
        gate of a pause, which is resumed instead."""
        caller.require("gate:open")
        gate = await self._closed(name, "no gate of this name is closed", field="name")
        if Pause.of(name) is not None:
            raise PayoutError("P500", "this is a pause: POST /admin/resume ends it", field="name")
        await self._acts.note(
            caller, "gate:open", name, reason=reason, before=_state(gate), after=OPEN
        )
        await self._open(gate, caller, reason)

    async def pauses(self) -> Mapping[Pause, Gate]:
        """What is paused."""
        pauses = pauses_in(await self._store.gates())
        show_pauses(self._observer, pauses)
        return pauses

    async def pause(self, caller: Caller, pause: Pause, reason: str) -> Mapping[Pause, Gate]:
        """Stop something; what is paused then. What is paused already stays so from its first
        moment, with the new reason. Live attempts go on to their end.

        Raises PayoutError P003 for a wallet that never paid here.
        """
        caller.require("system:pause")
        if pause.wallet is not None:
            known = await self._store.remember_wallet(self._wallet)
            if pause.wallet not in known:
                text = f"this wallet never paid here; {self._wallet} does"
                raise PayoutError("P003", text, field="wallet")
        before = (await self.pauses()).get(pause)
        await self._acts.note(
            caller,
            "system:pause",
            pause.gate,
            reason=reason,
            before=_state(before),
            after=f"closed: {reason}",
        )
        await self._store.close_gate(pause.gate, reason, closed_by=caller.name)
        log.warning("paused", gate=pause.gate, by=caller.name, reason=reason)
        await self._wakeups.signal()
        return await self.pauses()

    async def resume(self, caller: Caller, pause: Pause, reason: str) -> Mapping[Pause, Gate]:
        """Let something go on; what is still paused. Raises PayoutError P010 when this is not."""
        caller.require("system:pause")
        gate = await self._closed(pause.gate, "this is not paused")
        await self._acts.note(
            caller, "system:pause", pause.gate, reason=reason, before=_state(gate), after=OPEN
        )
        await self._open(gate, caller, reason)
        return await self.pauses()

    async def _closed(self, name: str, refusal: str, field: str | None = None) -> Gate:
        """The gate of this name. Raises PayoutError P010 when it is open."""
        for gate in await self._store.gates():
            if gate.name == name:
                return gate
        raise PayoutError("P010", refusal, field=field)

    async def _open(self, gate: Gate, caller: Caller, reason: str) -> None:
        await self._store.open_gate(gate.name)
        log.warning("gate opened", gate=gate.name, by=caller.name, reason=reason)
        await self._wakeups.signal()


def _state(gate: Gate | None) -> str:
    """A gate's state as the audit log keeps it."""
    return OPEN if gate is None else f"closed: {gate.reason}"
