"""Every secret in use, looked for in all that a service says and stores while things go wrong."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pymongo
import pytest

from devnet.embedded import Mongod
from tests.e2e.kit import (
    JWT_SECRET,
    SECRETS,
    Service,
    World,
    completed,
    create,
    order,
    token,
    until,
)

TRONGRID_KEY = "e2e-trongrid-key-90b2c4"
TOKENS = {
    "good": token(),
    "an operator's": token("ADMIN", "ada"),
    "expired": token(exp=1),
    "too long a life": token(exp=4_000_000_000),
    "altered": token()[:-6] + "AAAAAA",
    "unknown role": token("KING"),
    "of another kind": JWT_SECRET,
}
"""A client may also send a secret where a token belongs."""

PUBLIC = ("/", "/health", "/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json")
GUARDED = ("/payouts", "/payouts/stats", "/admin/status", "/unexplained", "/gates", "/nowhere")


@pytest.fixture
def mongod(tmp_path: Path) -> Iterator[Mongod]:
    """A database that goes away in the middle."""
    with Mongod(tmp_path / "mongod") as mongod:
        yield mongod


def everything_said(service: Service) -> Iterator[str]:
    """Headers and body of every kind of answer, to every token; the tokens ask at once, for without
    a database an answer takes seconds."""
    for path in PUBLIC:
        answer = httpx.get(f"{service.url}{path}", timeout=30)
        yield f"{path} {answer.headers} {answer.text}"
    with ThreadPoolExecutor() as pool:
        for said in pool.map(lambda name: said_to(service, name), TOKENS):
            yield from said


def said_to(service: Service, name: str) -> list[str]:
    """Headers and body of every kind of answer to one of the tokens."""
    bearer = TOKENS[name]
    headers = {"Authorization": f"Bearer {bearer}"}
    with httpx.Client(base_url=service.url, headers=headers, timeout=60) as api:
        answers = [api.get(path) for path in GUARDED]
        answers.append(api.get(f"/payouts/{bearer}"))
        answers.append(api.get("/payouts", params={"cursor": bearer}))
        answers.append(api.post("/payouts", json=order(currency="BTC")))
        answers.append(api.post("/payouts", content=b'{"amount": '))
        answers.append(api.post("/payouts", json=order(), headers={"Idempotency-Key": "x y"}))
    return [f"{name} {answer.headers} {answer.text}" for answer in answers]


def everything_stored(world: World) -> Iterator[str]:
    """Every document of the service's database: what a stolen dump holds."""
    with pymongo.MongoClient[dict[str, Any]](world.mongodb_url.geturl()) as client:
        database = client.get_default_database()
        for name in database.list_collection_names():
            yield from map(str, database[name].find())


def found(texts: Iterator[str], secrets: tuple[str, ...]) -> list[tuple[str, str]]:
    """Which secret stands in what was said."""
    return [(secret, text) for text in texts for secret in secrets if secret in text]


def test_no_secret_is_in_a_log_a_metric_an_answer_or_the_database(
    tmp_path: Path, mongod: Mongod
) -> None:
    held = (*SECRETS, TRONGRID_KEY)
    with World(tmp_path / "world", mongod.url) as world:
        service = world.service(TRONGRID_API_KEY=TRONGRID_KEY)
        service.start()
        with service.api() as api:
            completed(api, [create(api, order())])
        assert found(everything_said(service), held) == []
        # Now with nothing to stand on.
        world.devnet.stop()
        world.valkey.kill()
        mongod.kill()
        until(lambda: service.health().status_code == 503)
        assert found(everything_said(service), held) == []
        mongod.start()
        world.start_valkey()
        world.devnet.start()
        until(service.is_healthy, lambda: service.health().text)
        assert found(everything_said(service), held) == []
        assert found(everything_stored(world), (*held, *TOKENS.values())) == []
        service.stop()
        lines = service.log.read_text(encoding="utf-8").splitlines()
    assert lines
    assert found(iter(lines), (*held, *TOKENS.values())) == []
