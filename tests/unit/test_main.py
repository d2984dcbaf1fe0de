"""The preflight of the composition root: what stops a start, and what is waited out."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

import payout_router_main
from adapters.mongo.store import MongoPayoutStore
from config import EXIT_CONFIG, EXIT_DEPENDENCY_DOWN, Settings, StartupError, load_settings
from payout_router_main import preflight
from ports.store import StoreError, UnfitStoreError

Call = Callable[[MongoPayoutStore], Awaitable[None]]


def settings(**environ: str) -> Settings:
    secret = "a secret that is long enough for a test"
    return load_settings(
        {
            "MONGODB_URL": "mongodb://127.0.0.1:1/",
            "MONGODB_WAIT_SECONDS": "0",
            "REDIS_URL": "redis://127.0.0.1:1",
            "JWT_SECRET_KEY": secret,
            "WALLET_ENCRYPTION_KEY": secret,
            "TRON_PRIVATE_KEY": "11" * 32,
            "TRON_NETWORK": "devnet",
            "TRON_RPC_URL": "http://127.0.0.1:1",
            "LUCID_ENV": "development",
        }
        | environ
    )


@pytest.fixture
def mongodb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Call, Call], None]:
    """Replaces what the preflight asks of MongoDB, and shortens its waits."""

    def answers(now: Call, prepare: Call) -> None:
        monkeypatch.setattr(MongoPayoutStore, "now", now)
        monkeypatch.setattr(MongoPayoutStore, "prepare", prepare)
        monkeypatch.setattr(payout_router_main, "PING_SECONDS", 0.01)
        monkeypatch.setattr(payout_router_main, "PREFLIGHT_PAUSE_SECONDS", 0)

    return answers


async def at_once(_: MongoPayoutStore) -> None:
    """Answers."""


async def never(_: MongoPayoutStore) -> None:
    """A driver that goes on looking for a primary."""
    await asyncio.Event().wait()


def failing(error: StoreError, times: int) -> tuple[Call, list[int]]:
    """A call that fails so often before it answers, and a count of its calls."""
    calls: list[int] = []

    async def call(_: MongoPayoutStore) -> None:
        calls.append(len(calls))
        if len(calls) <= times:
            raise error

    return call, calls


async def test_a_mongodb_that_stays_silent_ends_the_start_although_the_driver_would_wait(mongodb):
    mongodb(never, never)
    with pytest.raises(StartupError, match="no primary answered") as stop:
        async with asyncio.timeout(30):
            await preflight(settings())
    assert stop.value.exit_code == EXIT_DEPENDENCY_DOWN


async def test_a_mongodb_that_comes_later_is_waited_for(mongodb):
    prepare, calls = failing(StoreError("no primary yet"), times=2)
    mongodb(at_once, prepare)
    await preflight(settings(MONGODB_WAIT_SECONDS="60"))
    assert len(calls) == 3


async def test_an_unfit_mongodb_is_not_waited_for(mongodb):
    prepare, calls = failing(UnfitStoreError("not a replica set"), times=9)
    mongodb(at_once, prepare)
    with pytest.raises(StartupError, match="not a replica set") as stop:
        await preflight(settings(MONGODB_WAIT_SECONDS="60"))
    assert stop.value.exit_code == EXIT_CONFIG
    assert len(calls) == 1


async def test_a_key_that_fits_no_address_stops_before_mongodb_is_asked(mongodb):
    mongodb(never, never)
    with pytest.raises(StartupError, match=r"the private key is that of .*, not of") as stop:
        async with asyncio.timeout(30):
            await preflight(settings(TRON_ADDRESS="TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"))
    assert stop.value.exit_code == EXIT_CONFIG


async def test_a_high_water_mark_that_nobody_wrote_stops_the_start(mongodb, tmp_path):
    (tmp_path / "tron-payout-router.json").write_text("{}", encoding="utf-8")
    mongodb(at_once, at_once)
    with pytest.raises(StartupError, match=r"tron-payout-router\.json is not what") as stop:
        await preflight(settings(PAYMENT_SYSTEMS_DIR=str(tmp_path)))
    assert stop.value.exit_code == EXIT_CONFIG


def test_each_folder_brings_its_loop(tmp_path):
    def names(**environ: str) -> list[str]:
        services = SimpleNamespace(identity=None)
        loops = payout_router_main.folder_loops(settings(**environ), services, None, "T1")
        return [loop.name for loop in loops]

    folder = str(tmp_path)
    assert names() == names(LOG_DIR=folder, BATCHES_DIR=folder) == []
    assert names(PAYMENT_SYSTEMS_DIR=folder) == ["high_water"]
    assert names(PAYOUTS_DIR=folder) == ["statements"]
