"""What is done to the cluster, as a table: name → how it begins, how long it lasts, how it ends."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from tests.chaos.cluster import Cluster, killed, paused, restarted
from tests.chaos.proxy import MODES, Proxy
from tests.chaos.takeover import TakeOvers
from tests.e2e.kit import Service

Trouble = Callable[[], AbstractContextManager[None]]


def troubles(cluster: Cluster, takeovers: TakeOvers) -> Mapping[str, Trouble]:
    """Everything that one round brings; each is over before the next one begins."""
    mongod, valkey, devnet = cluster.mongod, cluster.valkey, cluster.devnet
    table: dict[str, Trouble] = {
        "kill -9 MongoDB's primary": lambda: killed(mongod.primary()),
        "kill -9 a secondary": lambda: killed(mongod.secondary()),
        "pause MongoDB's primary": lambda: paused(mongod.primary()),
        "restart MongoDB's primary": lambda: restarted(mongod.primary()),
        "step the primary down": mongod.stepped_down,
        "kill -9 Valkey": cluster.valkey_killed,
        "pause Valkey": partial(paused, valkey),
        "flush Valkey": cluster.valkey_flushed,
        "kill -9 a service at work": partial(killed_at_work, cluster, takeovers),
        "kill -9 a service at work again": partial(killed_at_work, cluster, takeovers),
        "kill -9 the devnet": partial(killed, devnet),
        "pause the devnet": partial(paused, devnet),
    }
    for place, service in enumerate(cluster.services):
        table[f"kill -9 service {place}"] = partial(killed, service)
        table[f"pause service {place}"] = partial(paused_long, cluster, service)
        table[f"restart service {place}"] = partial(restarted, service)
    for place, proxy in enumerate(cluster.proxies):
        table[f"kill -9 endpoint {place}"] = partial(killed, proxy)
        table[f"pause endpoint {place}"] = partial(paused, proxy)
    for mode in MODES:
        if mode != "pass":
            table[f"{mode}: one endpoint"] = partial(spoiled, cluster.proxies[:1], mode)
            table[f"{mode}: both endpoints"] = partial(spoiled, cluster.proxies, mode)
    return table


@contextmanager
def killed_at_work(cluster: Cluster, takeovers: TakeOvers) -> Iterator[None]:
    """Dead with payouts in its hands, while the other one is well; slow endpoints help to catch it.
    Who takes over is watched."""
    cluster.wait_for_dispatch()
    with spoiled(cluster.proxies, "delay"):
        service = takeovers.busy()
        takeovers.kill(service)
    yield
    service.start()


@contextmanager
def paused_long(cluster: Cluster, service: Service) -> Iterator[None]:
    """Stopped for longer than its leases run."""
    with paused(service):
        time.sleep(cluster.pace.pause_seconds - cluster.pace.hold_seconds)
        yield


@contextmanager
def spoiled(proxies: list[Proxy], mode: str) -> Iterator[None]:
    """What goes through these proxies is spoiled."""
    for proxy in proxies:
        proxy.behave(mode)
    yield
    for proxy in proxies:
        proxy.behave("pass")
