"""The Compose files: valid, hardened, and of one mind with the environment files and the code."""

import re
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from config import load_settings
from devnet.settings import DEVNET_KEYS, USDT_ADDRESS
from settings.environment import MAINNET_USDT, Network
from tests.deploy.environment import ORDER, ROOT, entries, loaded, loaded_without_folders

SUPPORT = ROOT / "configs" / "docker" / "docker-compose.support.yml"
MACHINE = ROOT / "docker-compose.yml"
FILES = (SUPPORT, MACHINE)
PROFILE_FILE = ROOT / ".env"
"""What Compose reads by itself beside docker-compose.yml."""

VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(:[-?][^}]*)?\}")


def parsed(path: Path, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A Compose file; with `environ` as Compose sees it with these variables loaded."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document if environ is None else interpolated(document, environ)


def interpolated(node: Any, environ: Mapping[str, str]) -> Any:
    """A part of a document with the variables in its strings replaced."""
    if isinstance(node, dict):
        return {key: interpolated(value, environ) for key, value in node.items()}
    if isinstance(node, list):
        return [interpolated(value, environ) for value in node]
    if isinstance(node, str):
        return VARIABLE.sub(lambda match: environ.get(match[1]) or default(match[2]), node)
    return node


def default(operator: str | None) -> str:
    """What `:-default` stands for."""
    return operator[2:] if operator and operator.startswith(":-") else ""


@pytest.fixture
def router() -> dict[str, Any]:
    service: dict[str, Any] = parsed(SUPPORT, loaded())["services"]["tron-payout-router"]
    return service


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_is_what_the_compose_specification_allows(path):
    """No key is misspelt: the tools that run it would not say so."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    run = subprocess.run(  # noqa: S603 - our own command
        [*command, str(path)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_misspelt_key_is_noticed(tmp_path):
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(SUPPORT.read_text(encoding="utf-8").replace("read_only:", "readonly:"))
    with pytest.raises(AssertionError, match="readonly"):
        test_it_is_what_the_compose_specification_allows(wrong)


# ---- variables ----


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_has_a_default_or_says_what_to_do_without_it(path):
    uses = VARIABLE.findall(path.read_text(encoding="utf-8") + SUPPORT.read_text(encoding="utf-8"))
    guarded = {name for name, operator in uses if operator}
    assert {name for name, _ in uses} == guarded
    demanded = {name for name, operator in uses if operator.startswith(":?")}
    assert demanded == {
        *("PAYOUT_ROUTER_PORT", "MONGODB_ROOT_PASSWORD", "MONGODB_REPLICA_KEY"),
        *("MONGODB_PASSWORD", "REDIS_PASSWORD"),
    }
    assert all("docs/operations.md" in op for _, op in uses if op.startswith(":?"))
    assert {name for name, _ in uses} - set(loaded()) == {"DEVNET_PORT"} & {n for n, _ in uses}


def test_defaults_are_those_of_the_environment_files():
    uses = VARIABLE.findall(SUPPORT.read_text(encoding="utf-8"))
    defaults = {name: default(operator) for name, operator in uses if operator.startswith(":-")}
    assert {name: loaded()[name] for name in defaults} == defaults


# ---- the service ----


def test_the_service_is_where_everybody_looks_for_it(router):
    assert router["image"] == "pickme/lucid-tron-payout-router:latest-arm64"
    assert router["container_name"] == router["hostname"] == "tron-payout-router"
    assert router["ports"] == ["127.0.0.1:8092:8092"]
    assert router["environment"]["SERVICE_PORT"] == "8092"
    assert (SUPPORT.parent / router["build"]["context"]).resolve() == ROOT
    assert router["depends_on"] == {
        "lucid-mongodb": {"condition": "service_started"},
        "lucid-redis": {"condition": "service_started"},
    }
    files = [(SUPPORT.parent / name).resolve() for name in router["env_file"]]
    assert files == [ROOT / "configs" / "environment" / f".env.{name}" for name in ORDER]


def test_the_port_moves_with_its_variable():
    moved = parsed(
        SUPPORT, loaded() | {"PAYOUT_ROUTER_PORT": "9000", "PUBLISH_ADDRESS": "10.0.0.5"}
    )
    router = moved["services"]["tron-payout-router"]
    assert router["ports"] == ["10.0.0.5:9000:9000"]
    settings = load_settings(
        loaded_without_folders() | {"SERVICE_PORT": router["environment"]["SERVICE_PORT"]}
    )
    assert settings.environment.service_port == 9000


def test_the_service_may_do_next_to_nothing(router):
    assert router["user"] == "65532:65532"
    assert router["cap_drop"] == ["ALL"]
    assert router["cap_add"] == ["NET_BIND_SERVICE"]
    assert router["read_only"] is True
    assert router["security_opt"] == ["no-new-privileges:true"]
    (tmp,) = router["tmpfs"]
    path, _, options = tmp.partition(":")
    assert path == "/tmp"  # noqa: S108 - in the container
    assert {"noexec", "nosuid", "nodev"} <= set(options.split(","))
    assert router["pids_limit"] > 0
    assert {"max-size", "max-file"} == set(router["logging"]["options"])


@pytest.mark.parametrize("name", ["lucid-mongodb", "lucid-redis"])
def test_the_databases_are_out_of_reach(name):
    document = parsed(SUPPORT, loaded())
    service = document["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["read_only"] is True
    assert service["user"] == "999:999"
    assert "ports" not in service
    assert service["networks"] == ["lucid-databases"]
    assert document["networks"]["lucid-databases"] == {"internal": True}
    assert service["healthcheck"]["retries"] > 0
    assert service["mem_limit"]


def test_the_service_is_not_given_the_databases_own_secrets(router):
    for name in ("MONGODB_ROOT_PASSWORD", "MONGODB_REPLICA_KEY"):
        assert router["environment"][name] == ""


def test_each_volume_lies_where_the_service_looks_for_it(router):
    volumes = dict(volume.split(":", 1) for volume in router["volumes"])
    assert volumes == {
        "/data/payment-systems": "/data/payment-systems",
        "/data/payments": "/data/payouts",
        "/data/batches": "/data/batches",
        "/data/keys": "/data/keys:ro",
        "/data/logs/tron-payout-router": "/app/logs",
    }
    environ = loaded()
    variables = ("PAYMENT_SYSTEMS_DIR", "PAYOUTS_DIR", "BATCHES_DIR", "KEYS_DIR", "LOG_DIR")
    targets = {target.removesuffix(":ro") for target in volumes.values()}
    assert {environ[name] for name in variables} == targets


def test_the_service_is_asked_and_stopped_as_it_needs(router):
    assert router["healthcheck"]["test"] == [
        *("CMD", "/opt/venv/bin/python3", "payout_router_entrypoint.py", "health")
    ]
    assert int(router["stop_grace_period"].removesuffix("s")) > int(loaded()["TIMEOUT"])
    assert "init" not in router  # the service is PID 1 and answers SIGTERM itself
    # docs/security.md: what reading the largest permitted answer of a node takes.
    assert int(router["mem_limit"].removesuffix("m")) > 900


def test_the_urls_lead_to_the_databases_of_the_file():
    environ, services = loaded(), parsed(SUPPORT)["services"]
    mongodb, redis = urlsplit(environ["MONGODB_URL"]), urlsplit(environ["REDIS_URL"])
    assert {mongodb.hostname, redis.hostname} <= set(services)
    prepare = (SUPPORT.parent / "mongodb" / "prepare.js").read_text(encoding="utf-8")
    assert f'USER = "{mongodb.username}"' in prepare
    assert f'DATABASE = "{mongodb.path[1:]}"' in prepare
    assert f'host: "{mongodb.hostname}:{mongodb.port}"' in prepare
    start = (SUPPORT.parent / "mongodb" / "start.sh").read_text(encoding="utf-8")
    assert "--replSet rs0 --keyFile" in start
    assert mongodb.query == "replicaSet=rs0"


def test_the_databases_user_can_read_what_is_mounted():
    for path in (SUPPORT.parent / "mongodb").iterdir():
        assert path.stat().st_mode & stat.S_IROTH, path


# ---- the whole machine ----


def test_a_machine_runs_one_router_whatever_the_profile():
    services = parsed(MACHINE)["services"]
    of_profile = {
        profile: {name for name, one in services.items() if profile in one.get("profiles", ())}
        for profile in ("public", "devnet")
    }
    assert of_profile == {
        "public": {"tron-payout-router"},
        "devnet": {"devnet", "devnet-payout-router"},
    }
    rest = {name for name, service in services.items() if "profiles" not in service}
    assert rest == {"lucid-mongodb", "lucid-redis"}
    text = PROFILE_FILE.read_text(encoding="utf-8")
    assert entries(text) == [("COMPOSE_PROFILES", "public")]


def test_the_machine_takes_the_services_as_they_are():
    services = parsed(MACHINE)["services"]
    for name in ("lucid-mongodb", "lucid-redis", "tron-payout-router", "devnet-payout-router"):
        base = services[name]["extends"]
        assert (ROOT / base["file"]).resolve() == SUPPORT
        assert base["service"] == name.replace("devnet-payout", "tron-payout")
    machine, support = parsed(MACHINE), parsed(SUPPORT)
    assert machine["name"] == support["name"]
    assert machine["networks"] == support["networks"]
    assert support["volumes"].items() <= machine["volumes"].items()


def test_the_devnet_profile_pays_on_the_devnet_only():
    service = parsed(MACHINE, loaded())["services"]["devnet-payout-router"]
    settings = load_settings(
        loaded_without_folders() | {"TRON_ADDRESS": "T", **service["environment"]}
    )
    assert settings.environment.tron_network is Network.DEVNET
    assert [endpoint.url for endpoint in settings.endpoints] == ["http://devnet:18090"]
    key = settings.environment.tron_private_key
    assert key is not None
    assert key.get_secret_value() == DEVNET_KEYS[0]
    assert settings.usdt_contract_address == MAINNET_USDT == USDT_ADDRESS
    database = urlsplit(settings.environment.mongodb_url.get_secret_value())
    public = urlsplit(loaded()["MONGODB_URL"])
    assert database.hostname == public.hostname
    assert database.path == f"{public.path}_devnet"
    assert database.query.endswith(f"authSource={public.path[1:]}")


def test_the_devnets_router_keeps_nothing_in_the_real_ones_folders():
    services = parsed(MACHINE, loaded())["services"]
    base = parsed(SUPPORT, loaded())["services"]["tron-payout-router"]

    def targets(service: dict[str, Any]) -> set[str]:
        return {volume.split(":", 1)[1] for volume in service["volumes"]}

    own = services["devnet-payout-router"]
    assert targets(own) == targets(base)
    assert {volume.split(":")[0] for volume in own["volumes"]} <= set(parsed(MACHINE)["volumes"])
