"""Around the routes: ids, limits, headers, metrics, logs, faults, system paths, OpenAPI."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from starlette.types import Message

import api
from models.errors import PayoutError
from ports.chain import ChainUnavailableError
from ports.store import StoreError
from tests.unit.api.edge import GOOD_BODY, World, assert_problem, healthy, make_settings, world
from utils.health_check import HealthStatus

JSON = {"Content-Type": "application/json"}


# ---- routes that are not there ----


@pytest.mark.parametrize("path", ["/nope", "/payouts/", "/payout", "/api/v1/tron", "/redoc"])
async def test_unknown_paths(edge: World, path: str) -> None:
    assert_problem(await edge.client.get(path), 404, "P010")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/payouts", "GET, POST"),
        ("PUT", "/api/v1/tron/payouts", "GET, POST"),
        ("POST", "/payouts/stats", "GET"),
        ("GET", "/api/v1/tron/payouts/x/cancel", "POST"),
        ("POST", "/metrics", "GET"),
        ("PATCH", "/openapi.json", "GET"),
        ("TRACE", "/", "GET"),
    ],
)
async def test_methods_that_are_not_there(edge: World, method: str, path: str, allow: str) -> None:
    answer = await edge.client.request(method, path)
    assert_problem(answer, 405, "P011")
    assert answer.headers["Allow"] == allow


async def test_a_path_is_repeated_short_and_escaped(edge: World) -> None:
    answer = await edge.client.get("/%22%3Cscript%3E" + "x" * 5000)
    problem = assert_problem(answer, 404, "P010")
    assert problem["instance"].startswith("/%22%3Cscript%3Exxx")
    assert len(problem["instance"]) == 200


# ---- request ids ----


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 64])
async def test_a_fit_request_id_is_kept(edge: World, given: str) -> None:
    answer = await edge.client.get("/health/live", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", 'a"b', "ä".encode(), "a,b"])
async def test_another_request_id_is_replaced(edge: World, given: str | bytes) -> None:
    answer = await edge.client.get(
        "/health/live",
        headers={"X-Request-ID": given},  # type: ignore[dict-item]
    )
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


async def test_requests_have_different_ids(edge: World) -> None:
    answers = await asyncio.gather(*(edge.client.get("/health/live") for _ in range(20)))
    assert len({answer.headers["X-Request-ID"] for answer in answers}) == 20


async def test_concurrent_problems_carry_their_own_ids(edge: World) -> None:
    ids = [f"request-{number}" for number in range(20)]
    answers = await asyncio.gather(
        *(edge.client.get("/nope", headers={"X-Request-ID": one}) for one in ids)
    )
    assert [answer.json()["request_id"] for answer in answers] == ids


# ---- body limit ----


class Body:
    """Counts how much of it was asked for."""

    def __init__(self, chunks: int, size: int = 1024) -> None:
        self.left = chunks
        self.size = size
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.left:
            self.left -= 1
            self.given += 1
            yield b" " * self.size


async def test_a_declared_megabyte_is_refused_unread(edge: World) -> None:
    body = Body(1024)
    headers = JSON | {"Content-Length": str(1024 * 1024)}
    answer = await edge.client.post("/payouts", content=body, headers=headers)
    assert_problem(answer, 413, "P008")
    assert answer.headers["Connection"] == "close"
    assert body.given == 0


async def test_a_chunked_megabyte_is_refused_where_it_passes_the_limit(edge: World) -> None:
    body = Body(1024)
    answer = await edge.client.post("/payouts", content=body, headers=JSON)
    assert_problem(answer, 413, "P008")
    assert body.given == 65
    assert edge.router.asked == []


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "many", ""])
async def test_a_length_that_is_none(edge: World, length: str) -> None:
    headers = JSON | {"Content-Length": length}
    answer = await edge.client.post("/payouts", content=Body(1), headers=headers)
    assert_problem(answer, 413, "P008")


async def test_a_body_of_exactly_the_limit_is_read(edge: World) -> None:
    body = json.dumps(GOOD_BODY).ljust(65_536).encode()
    assert (await edge.client.post("/payouts", content=body, headers=JSON)).status_code == 201
    too_long = await edge.client.post("/payouts", content=body + b" ", headers=JSON)
    assert_problem(too_long, 413, "P008")


@pytest.mark.parametrize("path", ["/payouts", "/nope"])
async def test_a_body_that_nobody_wants_has_the_same_limit(edge: World, path: str) -> None:
    answer = await edge.client.request("GET", path, content=b"x" * 1_000_000)
    assert_problem(answer, 413, "P008")
    answer = await edge.client.request("GET", path, content=b"x" * 65_536)
    assert answer.status_code in (200, 404)


async def test_a_client_that_goes_away_is_no_fault_of_ours(edge: World) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/payouts",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    with structlog.testing.capture_logs() as logs:
        await edge.app(scope, receive, send)
    assert sent[0]["status"] == 400
    assert [entry["event"] for entry in logs] == ["request"]


# ---- faults ----


async def test_a_fault_of_ours_says_nothing_but_is_logged(edge: World) -> None:
    edge.router.breaks_with = RuntimeError("mongodb://admin:hunter2@db.test")
    with structlog.testing.capture_logs() as logs:
        answer = await edge.client.get("/payouts", headers={"X-Request-ID": "r-1"})
    problem = assert_problem(answer, 500, "P012")
    assert problem["request_id"] == "r-1"
    assert "hunter2" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    (fault,) = [entry for entry in logs if entry["event"] == "unhandled"]
    assert fault["exc_info"]
    assert fault["log_level"] == "error"


@pytest.mark.parametrize(
    "error", [StoreError("no primary at db.test"), ChainUnavailableError("no endpoint")]
)
async def test_a_dependency_that_is_down_is_worth_a_retry(edge: World, error: Exception) -> None:
    edge.router.breaks_with = error
    answer = await edge.client.post("/payouts", json=GOOD_BODY)
    problem = assert_problem(answer, 503, "P007")
    assert problem["retryable"] is True
    assert int(answer.headers["Retry-After"]) > 0
    assert str(error) not in answer.text


CODES = {
    "P005": 422,
    "P006": 409,
    "P103": 429,
    "P500": 409,
    "P502": 409,
    "P503": 410,
    "P700": 503,
    "P701": 503,
}


@pytest.mark.parametrize(("code", "status"), CODES.items(), ids=CODES)
async def test_refusals_of_the_use_cases(edge: World, code: str, status: int) -> None:
    edge.router.breaks_with = PayoutError(code, "because", left="1.00")
    answer = await edge.client.post("/payouts", json=GOOD_BODY)
    problem = assert_problem(answer, status, code)
    entry = edge.container.settings.error_codes.codes[code]
    assert problem["detail"] == "because"
    assert problem["extra"] == {"left": "1.00"}
    assert (problem["title"], problem["retryable"], problem["recovery_action"]) == (
        entry.title,
        entry.retryable,
        entry.recovery_action,
    )


async def test_every_code_can_be_told(edge: World) -> None:
    for code, entry in edge.container.settings.error_codes.codes.items():
        edge.router.breaks_with = PayoutError(code, "because")
        answer = await edge.client.get("/payouts")
        assert answer.status_code == entry.http_status or (
            entry.http_status is None and answer.status_code == 500
        )
        assert answer.json()["code"] == code


# ---- headers ----


@pytest.mark.parametrize("path", ["/", "/nope", "/payouts", "/metrics", "/health", "/docs"])
async def test_security_headers_are_on_every_answer(edge: World, path: str) -> None:
    headers = (await edge.client.get(path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Strict-Transport-Security"].startswith("max-age=")
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert ("script-src" in policy) == (path == "/docs")


async def test_the_docs_page_may_run_its_own_scripts_only(edge: World) -> None:
    answer = await edge.client.get("/docs")
    policy = answer.headers["Content-Security-Policy"]
    scripts = policy.partition("script-src")[2].partition(";")[0]
    assert "'unsafe-inline'" not in scripts
    assert "sha256-" in scripts
    for source in re.findall(r'<script src="([^"]+)"', answer.text):
        assert source in scripts


# ---- metrics and access log ----


async def test_requests_are_counted_by_template(edge: World) -> None:
    await edge.client.get("/payouts/some-id")
    await edge.client.get("/api/v1/tron/payouts/other-id")
    await edge.client.get("/made/up/path")
    await edge.client.request("MADEUP", "/payouts")
    text = (await edge.client.get("/metrics")).text
    counts = dict(re.findall(r"^payout_http_requests_total(\{.*\}) (.*)$", text, re.MULTILINE))
    assert counts == {
        '{method="GET",route="/payouts/{payout_id}",status="404"}': "2.0",
        '{method="GET",route="unmatched",status="404"}': "1.0",
        '{method="other",route="/payouts",status="405"}': "1.0",
    }
    assert 'payout_http_request_seconds_count{method="GET",route="unmatched"} 1.0' in text


async def test_a_request_that_is_cancelled_is_counted(edge: World) -> None:
    waiting = asyncio.Event()

    async def never(*_: Any) -> None:
        waiting.set()
        await asyncio.Event().wait()

    edge.router.stats = never  # type: ignore[assignment,method-assign]
    request = asyncio.create_task(edge.client.get("/payouts/stats"))
    await waiting.wait()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    text = (await edge.client.get("/metrics")).text
    assert 'route="/payouts/stats",status="499"} 1.0' in text


async def test_the_access_log_names_path_and_template_but_no_query(edge: World) -> None:
    with structlog.testing.capture_logs(
        processors=[structlog.contextvars.merge_contextvars]
    ) as logs:
        await edge.client.get(
            "/payouts/x", params={"token": "hunter2"}, headers={"X-Request-ID": "r-1"}
        )
    (entry,) = logs
    assert entry["event"] == "request"
    assert (entry["method"], entry["path"], entry["status"]) == ("GET", "/payouts/x", 404)
    assert (entry["route"], entry["request_id"]) == ("/payouts/{payout_id}", "r-1")
    assert "hunter2" not in str(entry)


async def test_the_access_log_can_be_switched_off() -> None:
    async with world(ACCESS_LOG="false") as edge:
        with structlog.testing.capture_logs() as logs:
            await edge.client.get("/")
        assert logs == []


# ---- system ----


@pytest.mark.parametrize(
    ("status", "health", "ready"),
    [
        (HealthStatus.HEALTHY, 200, 200),
        (HealthStatus.DEGRADED, 200, 200),
        (HealthStatus.UNHEALTHY, 503, 503),
    ],
)
async def test_health(edge: World, status: HealthStatus, health: int, ready: int) -> None:
    edge.container.health = healthy(status, "mongodb://u:hunter2@db.test did not answer")
    answer = await edge.client.get("/health")
    assert answer.status_code == health
    report = answer.json()
    assert (report["status"], report["service"]) == (status, "tron-payout-router")
    (component,) = report["components"]
    assert (component["name"], component["status"]) == ("mongodb", status)
    assert "hunter2" not in answer.text
    assert (await edge.client.get("/health/ready")).status_code == ready
    assert (await edge.client.get("/health/live")).json() == {"status": "alive"}


async def test_index_leads_on(edge: World) -> None:
    index = (await edge.client.get("/")).json()
    assert index["service"] == "tron-payout-router"
    for path in index["links"].values():
        assert (await edge.client.get(path)).status_code == 200


async def test_metrics_are_prometheus_text(edge: World) -> None:
    answer = await edge.client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert "# TYPE payout_http_requests_total counter" in answer.text


# ---- OpenAPI ----


async def test_the_document_is_complete(edge: World) -> None:
    document = (await edge.client.get("/openapi.json")).json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len(operations) >= 14
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    problem = {"$ref": "#/components/schemas/Problem"}
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]
        assert {"413", "431", "500", "503"} <= set(operation["responses"])
        assert ("401" in operation["responses"]) == ("security" in operation)
        for status, response in operation["responses"].items():
            assert response["description"]
            assert "X-Request-ID" in response["headers"]
            if status >= "400":
                assert response["content"]["application/problem+json"] == {"schema": problem}
    text = json.dumps(document)
    assert "HTTPValidationError" not in text
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert document["components"]["schemas"]["CreatePayout"]["examples"]


async def test_every_route_is_in_the_document(edge: World) -> None:
    paths = edge.app.openapi()["paths"]
    for path, methods in edge.app.state.methods.items():
        if path not in ("/docs", "/openapi.json"):
            assert {method.upper() for method in paths[path]} == methods


async def test_the_example_is_accepted(edge: World) -> None:
    schema = edge.app.openapi()["components"]["schemas"]["CreatePayout"]
    for example in schema["examples"]:
        assert (await edge.client.post("/payouts", json=example)).status_code == 201


async def test_answers_have_the_fields_of_the_document(edge: World) -> None:
    answer = await edge.client.post("/payouts", json=GOOD_BODY)
    schema = edge.app.openapi()["components"]["schemas"]["PayoutView"]
    assert set(answer.json()) == set(schema["properties"]) == set(schema["required"])


def test_the_settings_name_every_code_that_the_edge_uses() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(api.__path__[0]).glob("*.py")]
    used = set(re.findall(r'"(P[0-9]{3})"', "".join(sources)))
    assert used
    assert used <= set(make_settings().error_codes.codes)


async def test_other_protocols_pass_through(edge: World) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/payouts", "query_string": b"", "headers": []}
    await edge.app(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_a_limit_that_is_used_up_says_when_to_come_back(edge: World) -> None:
    edge.router.breaks_with = PayoutError(
        "P103", "the limit would be exceeded", field="amount", resets_at="2030-02-01T00:00:00Z"
    )
    answer = await edge.client.post(
        "/payouts", json=dict(GOOD_BODY), headers=edge.as_role("SERVICE")
    )
    assert_problem(answer, 429, "P103", field="amount")
    assert answer.headers["retry-after"] == "Fri, 01 Feb 2030 00:00:00 GMT"
