"""The ports of one replica, each call of which may go wrong.

A port is any object: its public coroutine methods are found by reflection, so a method that is
added to a port is a place to crash without anybody listing it.

A crash runs no `finally`: the replica's coroutines wait for ever at the next call of a port, and
are kept until the world ends, so that nothing of them is collected either. What had been sent
before a crash may still arrive.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from functools import cache, partial
from inspect import iscoroutinefunction
from typing import Any, Protocol

from redis.exceptions import ConnectionError as CacheError

from adapters.signer.local import LocalSigner
from adapters.tron.endpoint import EndpointError
from models.chain import Cursor
from ports.signer import SignerUnavailableError
from ports.store import StoreError
from tests.simulation import faults
from tests.simulation.store import asked_at, asking, is_told

Act = Callable[[], Awaitable[Any]]

NONSENSE: tuple[Any, ...] = (
    {},
    [],
    None,
    7,
    "<html>",
    {"result": 3},
    {"block": [1]},
    {"blockID": "00"},
    [{}],
)
"""JSON that no node would answer."""


ANSWERED = (None, "pause_before", "pause_after")
"""What happens to a call of which the replica learns what came of it, and goes on."""


class Surroundings(Protocol):
    """What a replica's ports need of the world around it."""

    over: bool
    plan: faults.Plan
    under_way: int
    """How much was sent and has not arrived."""

    def latency(self) -> tuple[float, float]:
        """Seconds until a call takes effect, and from then until it is answered."""

    def arrives(self) -> bool:
        """Whether what a dead replica had sent still takes effect."""

    def duration(self, kind: str) -> float:
        """How many seconds a fault lasts."""

    def choose(self, options: Any) -> Any:
        """One of a sequence."""

    def note(self, host: str, port: str, method: str, kind: str | None, args: Any) -> None:
        """Keep a call in the trace, and count its fault."""

    def later(self, seconds: float, act: Act) -> None:
        """Let a call take effect when nobody waits for it any more."""

    def store_is_down(self) -> bool:
        """Whether no majority is there."""

    def node_is_down(self, port: Any) -> bool:
        """Whether a node's connection is refused."""


class Host:
    """One process of the router, from its start to its crash."""

    def __init__(self, world: Surroundings, name: str) -> None:
        self.world = world
        self.name = name
        self.down = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.tasks: list[asyncio.Task[Any]] = []
        self._requests: list[asyncio.Task[Any]] = []
        self._context = copy_context()
        self._context.run(asking.set, name)
        self._parked: list[asyncio.Future[None]] = []
        self._frozen_until = 0.0

    @property
    def stopped(self) -> bool:
        """Whether its code runs at the moment."""
        return self.down or self._frozen_until > 0

    @property
    def busy(self) -> bool:
        """Whether it still has something to do that somebody asked for: it runs, now or later, and
        a request is not answered, or it will wake up in the middle of whatever it did."""
        if self.down:
            return False
        frozen = self._frozen_until > asyncio.get_running_loop().time()
        return frozen or any(not task.done() for task in self._requests)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task of this process."""
        task = asyncio.get_running_loop().create_task(work, context=self._context)
        self.tasks.append(task)
        return task

    def serve(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task of this process that answers a request."""
        task = self.spawn(work)
        self._requests.append(task)
        return task

    def crash(self) -> None:
        """Stop for ever; nothing is told."""
        self.down = True
        self._end()

    def cancel(self) -> None:
        """Cancel everything that runs, as a stop does that came too late."""
        for task in self.tasks:
            task.cancel()
        self._end()

    def freeze(self, seconds: float) -> None:
        """Run no code for so long, then go on as though nothing had been."""
        now = asyncio.get_running_loop().time()
        self._frozen_until = max(self._frozen_until, now + seconds)

    async def hold(self) -> None:
        """Return when this process may go on: at once, later, or never."""
        if self.world.over:
            raise asyncio.CancelledError
        loop, cancelled = asyncio.get_running_loop(), False
        while not self.down and self._frozen_until > loop.time():
            cancelled |= await self._stands(asyncio.sleep(self._frozen_until - loop.time()))
        while self.down:
            waits = loop.create_future()
            self._parked.append(waits)
            await self._stands(waits)
        self._frozen_until = 0.0
        if cancelled:
            raise asyncio.CancelledError

    async def _stands(self, still: Awaitable[None]) -> bool:
        """Wait; whether that was to be cancelled, which this process does not notice now."""
        try:
            await still
        except asyncio.CancelledError:
            if self.world.over:
                raise
            return True
        return False

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def port(host: Host, name: str, target: Any) -> Any:
    """The object, with everything that can happen between a replica and it."""
    return _Port(host, name, target)


class _Port:
    """Forwards everything; coroutine methods through the network."""

    def __init__(self, host: Host, name: str, target: Any) -> None:
        self._target = target
        for method in methods_of(target.__class__):
            call = partial(_call, host, name, method, getattr(target, method))
            setattr(self, method, call)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


@cache
def methods_of(cls: type) -> tuple[str, ...]:
    """The public coroutine methods of a class."""
    return tuple(
        name
        for name in dir(cls)
        if not name.startswith("_") and iscoroutinefunction(getattr(cls, name))
    )


async def _call(host: Host, name: str, method: str, bound: Any, *args: Any, **named: Any) -> Any:
    moment = asyncio.get_running_loop().time()
    if host.stopped or host.world.over:
        await host.hold()
    kind = host.world.plan.pick(name, method)
    bound = partial(_asked, moment, kind in ANSWERED, bound)
    act = partial(bound, *args, **named)
    if name == faults.STORE and host.world.store_is_down():
        host.world.note(host.name, name, method, None, args)
        return await _STORE_DOWN(host, bound, method, act, args)
    host.world.note(host.name, name, method, kind, args)
    try:
        if kind is None:
            return await _exchange(host, act)
        return await _HAPPENINGS[kind](host, bound, method, act, args)
    except asyncio.CancelledError:
        if host.stopped and not host.world.over:
            await host.hold()  # a time that is over ends nothing in a process that stands still
        raise


async def _asked(moment: float, answered: bool, bound: Any, *args: Any, **named: Any) -> Any:
    """The target is told when the call was made, however late it takes effect, and whether whoever
    made it learns of that."""
    asked_at.set(moment)
    is_told.set(answered)
    return await bound(*args, **named)


async def _exchange(host: Host, act: Act) -> Any:
    """A call that works: it takes effect after a while, and is answered after another."""
    world = host.world
    before, after = world.latency()
    if before:
        world.under_way += 1
        try:
            await asyncio.sleep(before)
        finally:
            world.under_way -= 1
        if host.down and not world.arrives():
            await host.hold()
    failure: Exception | None = None
    try:
        result = await act()
    except Exception as error:
        failure = error
    if after:
        await asyncio.sleep(after)
    if host.stopped or world.over:
        await host.hold()
    if failure is not None:
        raise failure
    return result


Happening = Callable[[Host, Any, str, Act, tuple[Any, ...]], Awaitable[Any]]


async def _crash_before(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
    host.crash()
    await host.hold()


async def _crash_unanswered(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
    await _quietly(act)
    host.crash()
    await host.hold()


async def _crash_answered(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
    result = await _exchange(host, act)
    host.crash()
    return result


async def _pause_before(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
    host.freeze(host.world.duration("pause"))
    await host.hold()
    return await _exchange(host, act)


async def _pause_after(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
    result = await _exchange(host, act)
    host.freeze(host.world.duration("pause"))
    await host.hold()
    return result


async def _cancel_before(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
    host.cancel()
    await asyncio.sleep(0)
    return await _exchange(host, act)


async def _cancel_after(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
    await _quietly(act)
    host.cancel()
    await asyncio.sleep(0)
    await host.hold()


def _fails(error: Callable[[], Exception], *, effect: bool) -> Happening:
    """A call that ends in an error, before or after it took effect."""

    async def happen(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
        async def failing() -> None:
            if effect:
                await _quietly(act)
            raise error()

        return await _exchange(host, failing)

    return happen


def _fails_late(error: Callable[[], Exception]) -> Happening:
    """A call that was given up, and takes effect after that."""

    async def happen(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
        async def failing() -> None:
            host.world.later(host.world.duration("late"), act)
            raise error()

        return await _exchange(host, failing)

    return happen


async def _partial(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
    """A group of which only a part was written: any part of an unordered one, the first ones of an
    ordered one, without the cursor."""

    async def failing() -> None:
        if method == "move_cursor":
            _, new, hits = args
            kept = hits[: host.world.choose(range(len(hits) + 1))]
            nowhere = Cursor(new.block, run_start=-1)
            await bound(nowhere, new, kept)
        elif method == "append_entries":
            await bound(args[0][: host.world.choose(range(len(args[0]) + 1))])
        else:
            await bound([each for each in args[0] if host.world.choose((True, False))])
        raise StoreError("the connection broke in the middle of a group")

    return await _exchange(host, failing)


async def _nonsense(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
    await _quietly(act)
    return host.world.choose(NONSENSE)


async def _slow(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
    await asyncio.sleep(host.world.duration("slow"))
    return await _exchange(host, act)


async def _wrong_signature(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
    return host.world.choose((b"", bytes(65), b"\xff" * 65, await STRANGER.sign(args[0])))


async def _nothing(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
    return None


async def _twice(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
    await act()
    return await act()


def _says(answer: bool) -> Happening:
    async def happen(host: Host, bound: Any, method: str, act: Act, args: Any) -> Any:
        return answer

    return happen


async def _quietly(act: Act) -> None:
    """Let a call take effect whose answer nobody will see."""
    try:
        await act()
    except Exception:
        return


def _store_error() -> Exception:
    return StoreError("no answer from the primary")


def _node_error(kind: str) -> Callable[[], Exception]:
    return lambda: EndpointError(kind, "the simulated network")


def _no_cache() -> Exception:
    return CacheError("no answer from the cache")


def _no_signer() -> Exception:
    return SignerUnavailableError("the signer does not answer")


STRANGER = LocalSigner(b"\x07" * 32)

_STORE_DOWN = _fails(_store_error, effect=False)

_HAPPENINGS: dict[str, Happening] = {
    "crash_before": _crash_before,
    "crash_unanswered": _crash_unanswered,
    "crash_answered": _crash_answered,
    "pause_before": _pause_before,
    "pause_after": _pause_after,
    "cancel_before": _cancel_before,
    "cancel_after": _cancel_after,
    "store_refuses": _fails(_store_error, effect=False),
    "store_reply_lost": _fails(_store_error, effect=True),
    "store_late": _fails_late(_store_error),
    "store_partial": _partial,
    "node_unreachable": _fails(_node_error("UNREACHABLE"), effect=False),
    "node_status": _fails(_node_error("HTTP_ERROR"), effect=False),
    "node_nonsense": _nonsense,
    "node_reply_lost": _fails(_node_error("TIMEOUT"), effect=True),
    "node_late": _fails_late(_node_error("TIMEOUT")),
    "signer_unavailable": _fails(_no_signer, effect=False),
    "signer_timeout": _fails(_no_signer, effect=True),
    "signer_wrong": _wrong_signature,
    "signer_slow": _slow,
    "cache_gone": _fails(_no_cache, effect=False),
    "cache_reply_lost": _fails(_no_cache, effect=True),
    "wakeup_lost": _nothing,
    "wakeup_doubled": _twice,
    "lock_given": _says(answer=True),
    "lock_refused": _says(answer=False),
}
