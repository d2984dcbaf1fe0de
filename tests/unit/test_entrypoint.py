"""The command line, in this process where it can be and as a real process where it must be."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path

import jwt
import pytest

import payout_router_entrypoint as entrypoint
from adapters.signer.keyfile import unseal
from adapters.signer.keys import address_of_private_key
from api.verify import verify
from config import load_settings
from devnet.process import free_port
from tests.processes import all_end, children_of, watch

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a secret for signing of more than 32 bytes"
ENVIRON = {
    "MONGODB_URL": "mongodb://user:hunter2@127.0.0.1:1/pay",
    "REDIS_URL": "redis://127.0.0.1:1",
    "JWT_SECRET_KEY": SECRET,
    "WALLET_ENCRYPTION_KEY": "11" * 32,
    "SERVICE_HOST": "127.0.0.1",
}


@pytest.fixture
def environ(monkeypatch) -> Iterator[pytest.MonkeyPatch]:
    """An environment of nothing but what a test sets, put back afterwards."""
    before = dict(os.environ)
    os.environ.clear()
    yield monkeypatch
    os.environ.clear()
    os.environ.update(before)


# ---- token ----


def test_token_makes_a_token_that_the_policies_take(environ, capsys):
    os.environ["JWT_SECRET_KEY"] = SECRET
    arguments = ["--sub", "client-1", "--role", "NODE_OPERATOR", "--node-id", "n1", "--hours", "2"]
    assert entrypoint.main(["token", *arguments]) == 0
    claims = jwt.decode(capsys.readouterr().out.strip(), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["role"], claims["node_id"]) == ("client-1", "NODE_OPERATOR", "n1")
    assert claims["exp"] - claims["iat"] == 7200
    assert claims["jti"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--role", "KING"], "--role must be one of USER"),
        (["--role", "USER", "--hours", "0"], "--hours must be above 0 and at most 24"),
        (["--role", "USER", "--hours", "25"], "--hours must be"),
        (["--role", "USER", "--hours", "nan"], "--hours must be"),
    ],
)
def test_token_refuses_what_the_service_would_refuse(environ, capsys, arguments, message):
    os.environ["JWT_SECRET_KEY"] = SECRET
    assert entrypoint.main(["token", "--sub", "a", *arguments]) == 78
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sub", ""], "--sub is not taken"),
        (["--sub", "s" * 129], "--sub is not taken"),
        (["--sub", "a\nb"], "--sub is not taken"),
        (["--sub", "a", "--tenant", "two words"], "--tenant is not taken"),
        (["--sub", "a", "--tenant", ""], "--tenant is not taken"),
        (["--sub", "a", "--node-id", ""], "--node-id is not taken"),
        (["--sub", "a", "--kid", "other"], "--kid must name an active secret: now, old"),
    ],
)
def test_token_takes_what_the_service_takes(environ, capsys, arguments, message):
    os.environ |= {
        "JWT_SECRET_KEY": SECRET,
        "JWT_KEY_ID": "now",
        "JWT_OTHER_SECRET_KEYS": f"old:{'o' * 32}",
    }
    assert entrypoint.main(["token", "--role", "USER", *arguments]) == 78
    out, err = capsys.readouterr()
    assert message in err
    assert out == ""


@pytest.mark.parametrize(
    ("secrets", "arguments", "kid"),
    [
        ({}, [], None),
        ({"JWT_KEY_ID": "now"}, [], "now"),
        (
            {"JWT_KEY_ID": "now", "JWT_OTHER_SECRET_KEYS": f"old:{'o' * 32}"},
            ["--kid", "now"],
            "now",
        ),
        ({"JWT_OTHER_SECRET_KEYS": f"old:{'o' * 32}"}, ["--kid", "old"], "old"),
        ({"JWT_ISSUER": "me", "JWT_AUDIENCE": "payouts"}, [], None),
    ],
)
def test_what_token_prints_is_taken(environ, capsys, secrets, arguments, kid):
    os.environ |= ENVIRON | secrets
    tenant = ["--tenant", "north"]
    assert entrypoint.main(["token", "--sub", "a", "--role", "USER", *tenant, *arguments]) == 0
    token = capsys.readouterr().out.strip()
    assert jwt.get_unverified_header(token).get("kid") == kid
    settings = load_settings(os.environ)
    claims = verify(token, settings.token_keys, settings.security.jwt)
    assert (claims.sub, claims.tenant) == ("a", "north")
    assert claims.jti


def test_token_asks_for_the_key_and_nothing_else(environ, capsys):
    assert entrypoint.main(["token", "--sub", "a", "--role", "USER"]) == 78
    error = capsys.readouterr().err
    assert "JWT_SECRET_KEY" in error
    assert "MONGODB_URL" not in error


# ---- seal-key ----


def seal(environ, keys_dir: Path, text: str, *arguments: str) -> int:
    os.environ |= {"WALLET_ENCRYPTION_KEY": "11" * 32, "KEYS_DIR": str(keys_dir)}
    environ.setattr(sys, "stdin", StringIO(text))
    return entrypoint.main(["seal-key", *arguments])


@pytest.mark.parametrize("text", ["ab" * 32 + "\n", "0x" + "ab" * 32, "  " + "AB" * 32 + " \n"])
def test_seal_key_reads_a_key_and_prints_its_address(environ, capsys, tmp_path, text):
    assert seal(environ, tmp_path, text) == 0
    address = address_of_private_key(b"\xab" * 32)
    out, err = capsys.readouterr()
    assert out.splitlines() == [address, f"sealed in {tmp_path / address}.json"]
    assert unseal((tmp_path / f"{address}.json").read_bytes(), "11" * 32) == b"\xab" * 32
    assert "ab" * 32 not in out + err


def test_seal_key_does_not_overwrite(environ, capsys, tmp_path):
    assert seal(environ, tmp_path, "ab" * 32) == 0
    assert seal(environ, tmp_path, "ab" * 32) == 78
    assert "never overwritten" in capsys.readouterr().err


def test_seal_key_makes_a_new_key_each_time(environ, capsys, tmp_path):
    assert seal(environ, tmp_path, "", "--generate") == 0
    assert seal(environ, tmp_path, "", "--generate") == 0
    assert len(list(tmp_path.glob("T*.json"))) == 2


@pytest.mark.parametrize("text", ["", "secret", "ab" * 31, "00" * 32])
def test_seal_key_refuses_what_is_no_key_and_does_not_repeat_it(environ, capsys, tmp_path, text):
    assert seal(environ, tmp_path, text) == 78
    out, err = capsys.readouterr()
    assert "64 hexadecimal digits" in err
    assert not text or text not in out + err


# ---- health ----


class Health(BaseHTTPRequestHandler):
    status, body = 200, b'{"status": "degraded"}'

    def do_GET(self) -> None:
        assert self.path == "/health"
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


class Server6(HTTPServer):
    address_family = socket.AF_INET6


@contextmanager
def health_of(server: HTTPServer) -> Iterator[HTTPServer]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def health_server() -> Iterator[HTTPServer]:
    with health_of(HTTPServer(("127.0.0.1", 0), Health)) as server:
        yield server


@pytest.mark.parametrize("variable", ["SERVICE_PORT", "PAYOUT_ROUTER_PORT"])
def test_health_passes_the_status_on_and_uses_no_proxy(environ, capsys, health_server, variable):
    os.environ |= {variable: str(health_server.server_port), "http_proxy": "http://127.0.0.1:1"}
    assert entrypoint.main(["health"]) == 0
    assert capsys.readouterr().out == "degraded\n"


@pytest.mark.parametrize(
    ("host", "kind", "bound"),
    [
        ("0.0.0.0", HTTPServer, "127.0.0.1"),  # noqa: S104
        ("localhost", HTTPServer, "127.0.0.1"),
        ("127.0.0.2", HTTPServer, "127.0.0.2"),
        ("::", Server6, "::1"),
        ("::1", Server6, "::1"),
    ],
)
def test_health_asks_where_the_service_listens(environ, capsys, host, kind, bound):
    with health_of(kind((bound, 0), Health)) as server:
        os.environ |= {"SERVICE_HOST": host, "SERVICE_PORT": str(server.server_port)}
        assert entrypoint.main(["health"]) == 0
    assert capsys.readouterr().out == "degraded\n"


@pytest.mark.parametrize(
    ("status", "body"), [(503, b'{"status": "unhealthy"}'), (200, b"hello"), (200, b"[]")]
)
def test_health_fails_on_any_other_answer(environ, capsys, health_server, status, body):
    environ.setattr(Health, "status", status)
    environ.setattr(Health, "body", body)
    os.environ["SERVICE_PORT"] = str(health_server.server_port)
    assert entrypoint.main(["health"]) == 1
    assert capsys.readouterr().out.startswith("unhealthy: ")


def test_health_fails_when_nobody_listens(environ, capsys):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        os.environ["SERVICE_PORT"] = str(unused.getsockname()[1])
        assert entrypoint.main(["health"]) == 1
    assert "refused" in capsys.readouterr().out


# ---- serve and worker, as processes, around an application made for the test ----

APPLICATION = """
import asyncio, os, signal, sys
import prometheus_client
from config import StartupError, EXIT_DEPENDENCY_DOWN

async def preflight(settings):
    if os.environ.get("TEST_FAIL") == "preflight":
        raise StartupError("MongoDB is not reachable", EXIT_DEPENDENCY_DOWN)

async def run_worker(settings):
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print("loops run", settings.environment.lucid_env, flush=True)
    await stopped.wait()
    print("loops stopped", flush=True)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if os.environ.get("TEST_FAIL") == "lifespan":
            await send({"type": "lifespan.startup.failed", "message": "no"})
            return
        await send({"type": "lifespan.startup.complete"})
        name = os.environ["SERVICE_NAME"]
        print("ready", name, "PROMETHEUS_MULTIPROC_DIR" in os.environ, flush=True)
        await receive()
        print("drained", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
"""


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """A folder with the entrypoint and this application instead of the real one."""
    folder = tmp_path / "application"
    folder.mkdir()
    shutil.copy(ROOT / "payout_router_entrypoint.py", folder)
    packages = ("adapters", "api", "models", "ports", "services", "settings", "utils")
    for name in ("config.py", *packages):
        (folder / name).symlink_to(ROOT / name)
    (folder / "payout_router_main.py").write_text(APPLICATION, encoding="utf-8")
    return folder


def start(application: Path, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    """Start the command from another folder, in isolated mode: nothing is found by accident."""
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", str(application / "payout_router_entrypoint.py"), *arguments],
        env=ENVIRON | {"SERVICE_PORT": str(free_port())} | environ,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def read_until(process: subprocess.Popen[str], text: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} never came: {lines} {process.stderr and process.stderr.read()}")


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_serve_names_the_service_drains_and_exits_0_on_a_signal(application, stop):
    process = start(application, SERVICE_NAME="something-else")
    lines = read_until(process, "ready")
    assert lines[-1] == "ready tron-payout-router False\n"
    process.send_signal(stop)
    code, out, err = finish(process)
    assert "drained" in out
    assert (code, err) == (0, "")
    events = [json.loads(line) for line in [*lines, *out.splitlines()] if line.startswith("{")]
    assert events
    assert {event["service"] for event in events} == {"tron-payout-router"}


def test_several_serving_processes_share_their_metrics_and_end_together(application):
    process = start(application, "serve", WORKERS="2")
    read_until(process, "ready tron-payout-router True")
    read_until(process, "ready tron-payout-router True")
    process.send_signal(signal.SIGTERM)
    code, out, err = finish(process)
    assert out.count("drained") == 2
    assert (code, err) == (0, "")


def test_several_serving_processes_end_with_the_one_that_started_them(application):
    process = start(application, "serve", WORKERS="2")
    read_until(process, "ready tron-payout-router True")
    read_until(process, "ready tron-payout-router True")
    workers = watch(children_of(process.pid))
    process.kill()
    assert all_end(workers)
    code, out, _ = finish(process)
    assert code == -signal.SIGKILL
    assert out.count("drained") == 2


def test_worker_runs_the_loops_alone(application):
    process = start(application, "worker")
    read_until(process, "loops run production")
    process.send_signal(signal.SIGTERM)
    code, out, err = finish(process)
    assert "loops stopped" in out
    assert "ready" not in out
    assert (code, err) == (0, "")


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_failed_preflight_is_one_line_and_its_exit_code(application, command):
    code, out, err = finish(start(application, command, TEST_FAIL="preflight"))
    assert (code, out, err) == (75, "", "MongoDB is not reachable\n")


def test_a_start_that_fails_inside_the_application_has_its_exit_code(application):
    code, _, err = finish(start(application, TEST_FAIL="lifespan"))
    assert (code, err) == (3, "")


def test_a_start_that_fails_in_several_serving_processes_has_its_exit_code(application):
    code, out, _ = finish(start(application, TEST_FAIL="lifespan", WORKERS="2"))
    assert code == 3
    assert "failed to start, stopping the parent process" in out


def test_a_port_in_use_is_one_line_and_its_exit_code(application):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, out, err = finish(start(application, SERVICE_PORT=port))
    assert (code, out) == (71, "")
    assert err == f"cannot listen on 127.0.0.1:{port}: address already in use\n"


def test_all_configuration_problems_are_on_stderr_at_once(application):
    wrong = {"JWT_SECRET_KEY": "hunter2", "MONGODB_URL": "", "WORKERS": "many", "DEBUG": "true"}
    code, out, err = finish(start(application, **wrong))
    assert (code, out) == (78, "")
    found = [line.split(":")[0] for line in err.splitlines()]
    expected = [f"  - {name}" for name in ("WORKERS", "MONGODB_URL", "JWT_SECRET_KEY", "DEBUG")]
    assert found == ["The configuration is wrong", *expected]
    assert "hunter2" not in err


def test_help_lists_commands_and_exit_codes(capsys):
    with pytest.raises(SystemExit) as stop:
        entrypoint.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("serve", "worker", "health", "seal-key", "token"))
    assert "75  MongoDB" in text


def test_it_can_be_executed():
    assert os.access(ROOT / "payout_router_entrypoint.py", os.X_OK)
