"""Wake-ups and advisory locks through Redis. Everything here may fail and harms nothing."""

import asyncio

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from adapters.memory.signals import LocalWakeups
from adapters.redis.client import BestEffort
from utils.retry import RetryPolicy, retry

_OBEY_SECONDS = 0.1

_HOLD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

_DROP = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class RedisWakeups:
    """ports.signals.Wakeups over a channel that every replica listens to.

    A signal wakes this process at once, whether Redis is there or not, and the other replicas
    through the channel, which stores nothing. Any number of signals is one wake-up.
    """

    def __init__(
        self,
        client: Redis,
        channel: str,
        *,
        reconnecting: RetryPolicy,
        calls: BestEffort | None = None,
        silence_seconds: float = 15.0,
    ) -> None:
        """`reconnecting`: how to connect again when the server is gone; after its last try comes
        its longest wait, and then all anew. `silence_seconds`: how long the channel may be silent
        before the listener pings the server, and then how long until it connects anew."""
        self._client = client
        self._channel = channel
        self._reconnecting = reconnecting
        self._calls = calls or BestEffort()
        self._silence_seconds = silence_seconds
        self._local = LocalWakeups()
        self._listener: asyncio.Task[None] | None = None

    async def signal(self) -> None:
        self._local.wake()
        await self._calls.call(lambda: self._client.publish(self._channel, b""))

    async def wait(self, timeout_seconds: float) -> None:
        self.start()
        await self._local.wait(timeout_seconds)

    def start(self) -> None:
        """Start to listen, if nobody does; a wait does it too."""
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen_for_ever(), name="redis-wakeups")

    async def close(self) -> None:
        """Stop listening. The client stays open: it is not ours."""
        listener, self._listener = self._listener, None
        while listener is not None and not listener.done():
            # Until it obeys: before Python 3.12, wait_for in the driver can swallow a cancellation.
            listener.cancel()
            await asyncio.wait({listener}, timeout=_OBEY_SECONDS)

    async def _listen_for_ever(self) -> None:
        """Listen, and connect again after ever longer pauses while that fails."""
        failures = (RedisError, OSError, TimeoutError)
        while True:
            try:
                await retry(self._connect, self._reconnecting, retry_on=failures, name="redis")
            except failures:
                await asyncio.sleep(self._reconnecting.max_seconds)

    async def _connect(self) -> None:
        """Subscribe and listen. Raises when the server is gone."""
        async with self._client.pubsub() as subscription:
            await subscription.subscribe(self._channel)
            self._local.wake()  # a signal may have been missed until now
            await self._listen(subscription)

    async def _listen(self, subscription: PubSub) -> None:
        """Wake at each message. Raises when the server is gone or stays silent to a ping."""
        asked = False
        while True:
            message = await subscription.get_message(timeout=self._silence_seconds)
            if message is None and asked:
                raise TimeoutError
            asked = message is None
            if asked:
                await subscription.ping()
            elif message is not None and message["type"] == "message":
                self._local.wake()


class RedisLocks:
    """ports.signals.Locks as keys with a time to live, whose value names the holder."""

    def __init__(
        self, client: Redis, prefix: str, holder: str, *, calls: BestEffort | None = None
    ) -> None:
        """`holder` must be unique among all processes."""
        self._prefix = prefix
        self._holder = holder
        self._calls = calls or BestEffort()
        self._hold = client.register_script(_HOLD)
        self._drop = client.register_script(_DROP)

    async def hold(self, name: str, seconds: float) -> bool:
        arguments: list[str | int] = [self._holder, max(1, round(seconds * 1000))]
        answer = await self._calls.call(lambda: self._hold(keys=[self._key(name)], args=arguments))
        return answer != 0

    async def drop(self, name: str) -> None:
        await self._calls.call(lambda: self._drop(keys=[self._key(name)], args=[self._holder]))

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"
