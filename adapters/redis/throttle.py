"""Buckets that all processes share, through Redis; without it, each process has its own."""

from typing import Final

from redis.asyncio import Redis

from adapters.redis.client import BestEffort
from models.rate import Rate, Verdict, verdict
from ports.throttle import Throttle

# models/rate.py: take, by the server's clock. A double holds microseconds exactly until 2255.
_TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, full = tonumber(ARGV[1]), tonumber(ARGV[2])
local untilus = tonumber(redis.call('GET', KEYS[1]) or '')
if not (untilus and untilus > now) then untilus = now end
untilus = math.min(untilus, now + full)
local wait = untilus + interval - full - now
if wait <= 0 then
  untilus = untilus + interval
  local life = math.ceil((untilus - now) / 1000)
  redis.call('SET', KEYS[1], string.format('%.0f', untilus), 'PX', life)
end
return {wait, untilus - now}
"""


class RedisThrottle:
    """ports.throttle.Throttle as keys with a time to live, one call for each permit.

    `local` is asked first, and Redis only about what this process by itself would allow: who
    hammers costs Redis nothing, and finds no fresh bucket when Redis goes. What `local` refuses
    Redis would refuse too, but for at most one permit.
    """

    def __init__(
        self, client: Redis, prefix: str, local: Throttle, *, calls: BestEffort | None = None
    ) -> None:
        self._prefix = prefix
        self._local = local
        self._calls = calls or BestEffort()
        self._take = client.register_script(_TAKE)

    async def take(self, key: str, rate: Rate) -> Verdict:
        mine = await self._local.take(key, rate)
        if not mine.allowed:
            return mine
        keys, arguments = [f"{self._prefix}{key}"], [rate.interval_us, rate.full_us]
        shared = await self._calls.call(lambda: self._take(keys=keys, args=arguments))
        return mine if shared is None else verdict(rate, *shared)
