import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

from config import ConfigError, load_security_policies, load_settings, load_variables
from models.money import Currency
from models.permission import Reach
from settings.environment import (
    DEFAULT_CONFIG_DIR,
    DEVNET_ADDRESSES,
    SECRET_VARIABLES,
    Environment,
    Network,
)
from settings.security import Role
from utils.metrics import Metrics

SECRET = "an ordinary secret of more than 32 bytes"
ENVIRON = {
    "MONGODB_URL": "mongodb://user:p%40ss@db1:27017,db2:27017/pay?replicaSet=rs0",
    "REDIS_URL": "redis://:cachepw@cache:6379/0",
    "JWT_SECRET_KEY": SECRET,
    "WALLET_ENCRYPTION_KEY": "a long passphrase",
}
OWN_ADDRESS = "TXfSUNjtKhWSbY9ZJB4FdFqFYFJkjh2GGU"


def complaints(environ: dict[str, str], config_dir: Path = DEFAULT_CONFIG_DIR) -> list[str]:
    with pytest.raises(ConfigError) as refusal:
        load_settings(environ | {"CONFIG_DIR": str(config_dir)})
    assert refusal.value.exit_code == 78
    return str(refusal.value).splitlines()


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEFAULT_CONFIG_DIR, tmp_path / "config"))


def edit(config_dir: Path, name: str, path: str, value: object) -> None:
    """Set a dotted key of a YAML file; None removes it."""
    file = config_dir / name
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    *parents, last = path.split(".")
    place = data
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    file.write_text(yaml.safe_dump(data), encoding="utf-8")


def test_the_required_variables_are_enough():
    settings = load_settings(ENVIRON)
    env = settings.environment
    assert (env.service_port, env.workers, env.timeout) == (8092, 1, 30)
    assert env.lucid_env == "production"
    assert env.tron_network is Network.MAINNET
    assert [endpoint.url for endpoint in settings.endpoints] == ["https://api.trongrid.io"]
    assert settings.usdt_contract_address == "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
    assert settings.genesis_id is not None
    assert settings.genesis_id.startswith("0" * 16)


def test_amounts_are_in_base_units():
    settings = load_settings(ENVIRON)
    usdt = settings.router.currencies[Currency.USDT]
    assert (usdt.min_amount, usdt.max_amount) == (10_000, 10_000_000_000)
    assert settings.router.fees.fee_limit_sun == 20_000_000


@pytest.mark.parametrize("missing", sorted(ENVIRON))
def test_each_required_variable_is_asked_for(missing):
    environ = {name: value for name, value in ENVIRON.items() if name != missing}
    (complaint,) = complaints(environ)
    assert re.fullmatch(rf"{missing}: expected .+ \(required\), found nothing", complaint)


def test_all_problems_of_the_environment_and_all_files_come_at_once(config_dir):
    edit(config_dir, "retry-config.yaml", "retries.redis.tries", "three")
    edit(config_dir, "payout-router-config.yaml", "dispatch.speed", 3)
    edit(config_dir, "payout-error-codes.yaml", "codes.P100.severity", "dreadful")
    edit(config_dir, "payout-security-policies.yaml", "jwt.algorithms", ["HS256", "none"])
    (config_dir / "prometheus-metrics.yaml").unlink()
    found = complaints(
        {
            "SERVICE_PORT": "http",
            "TRON_NETWORK": "devnet",
            "MIN_PAYOUT_AMOUNT": "1.1234567",
            "JWT_SECRET_KEY": "too short",
        },
        config_dir,
    )
    beginnings = [line.partition(" expected ")[0] for line in found]
    assert sorted(beginnings) == [
        "JWT_SECRET_KEY:",
        "MIN_PAYOUT_AMOUNT:",
        "MONGODB_URL:",
        "REDIS_URL:",
        "SERVICE_PORT:",
        "TRON_NETWORK:",
        "TRON_RPC_URL:",
        "WALLET_ENCRYPTION_KEY:",
        "payout-error-codes.yaml: codes.P100.severity:",
        "payout-router-config.yaml: dispatch.speed:",
        "payout-security-policies.yaml: jwt.algorithms.1:",
        "prometheus-metrics.yaml:",
        "retry-config.yaml: retries.redis.tries:",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVICE_PORT", "0"),
        ("SERVICE_PORT", "65536"),
        ("WORKERS", "0"),
        ("TIMEOUT", "soon"),
        ("LOG_LEVEL", "LOUD"),
        ("ACCESS_LOG", "perhaps"),
        ("LUCID_ENV", "staging"),
        ("MONGODB_URL", "postgres://secret@host"),
        ("MONGODB_URL", "mongodb://[secret/"),
        ("MONGODB_URL", "mongodb://user:secret@secret@host/pay"),
        ("MONGODB_URL", "mongodb://secret:99999/pay"),
        ("MONGODB_URL", "mongodb:///secret"),
        ("REDIS_URL", "http://secret"),
        ("REDIS_URL", "redis://secret:port/0"),
        ("JWT_SECRET_KEY", "secret"),
        ("JWT_KEY_ID", "two words"),
        ("WALLET_ENCRYPTION_KEY", "secret"),
        ("TRON_PRIVATE_KEY", "secret"),
        ("TRON_PRIVATE_KEY", "ab" * 31),
        ("TRON_ADDRESS", "TXfSUNjtKhWSbY9ZJB4FdFqFYFJkjh2GGV"),
        ("USDT_CONTRACT_ADDRESS", "41a614f803b6fd780986a42c78ec9c7f77e6ded13c"),
        ("FORWARDED_ALLOW_IPS", "*"),
        ("FORWARDED_ALLOW_IPS", "proxy.example.org"),
        ("FORWARDED_ALLOW_IPS", "10.0.0.1/8"),
        ("FORWARDED_ALLOW_IPS", "10.0.0.1,"),
        ("TRON_PERMISSION_ID", "1"),
        ("TRON_PERMISSION_ID", "10"),
        ("TRON_NETWORK", "ropsten"),
        ("TRON_RPC_URL", "api.trongrid.io"),
        ("TRON_RPC_URL", "https://a,https://a"),
        ("TRON_SOLIDITY_URL", "https://a,https://b"),
        ("TRON_RPC_URL", "https://secret-key@"),
        ("TRON_RPC_URL", "https://secret:port"),
        ("QUARANTINE", "maybe"),
        ("MAX_PAYOUT_AMOUNT", "1e3"),
        ("DAILY_PAYOUT_LIMIT", "-1"),
    ],
)
def test_a_wrong_value_names_its_variable_and_shows_no_secret(name, value):
    (complaint,) = complaints(ENVIRON | {name: value})
    assert complaint.startswith(f"{name}: expected ")
    assert "secret" not in complaint


def test_an_empty_variable_counts_as_not_set():
    environ = dict.fromkeys([f.upper() for f in Environment.model_fields], "") | ENVIRON
    assert load_settings(environ) == load_settings(ENVIRON)


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ({"SERVICE_PORT": "1111", "PAYOUT_ROUTER_PORT": "2222"}, 1111),
        ({"PAYOUT_ROUTER_PORT": "2222"}, 2222),
        ({"SERVICE_PORT": "", "PAYOUT_ROUTER_PORT": "2222"}, 2222),
        ({}, 8092),
    ],
)
def test_service_port_goes_before_payout_router_port(ports, expected):
    assert load_settings(ENVIRON | ports).environment.service_port == expected


def test_a_wrong_port_is_blamed_on_the_variable_that_it_came_from():
    assert complaints(ENVIRON | {"PAYOUT_ROUTER_PORT": "x"})[0].startswith("PAYOUT_ROUTER_PORT:")


@pytest.mark.parametrize("name", sorted(SECRET_VARIABLES))
def test_any_secret_may_come_from_a_file(tmp_path, name):
    values = ENVIRON | {
        "TRON_PRIVATE_KEY": "ab" * 32,
        "TRONGRID_API_KEY": "grid-key",
        "PAYOUT_TOKEN": "a.b.c",
        "JWT_OTHER_SECRET_KEYS": f"old:{SECRET}\nolder:{SECRET}",
    }
    file = tmp_path / "secret"
    file.write_text(values[name] + "\n", encoding="utf-8")
    from_file = {**values, f"{name}_FILE": str(file)}
    del from_file[name]
    assert load_settings(from_file) == load_settings(values)


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda file: file.write_text("x" * 40), "not both"),
        (lambda file: None, "a readable UTF-8 file"),
    ],
)
def test_a_secret_file_beside_the_variable_or_missing_is_an_error(tmp_path, prepare, expected):
    file = tmp_path / "secret"
    prepare(file)
    (complaint,) = complaints(ENVIRON | {"JWT_SECRET_KEY_FILE": str(file)})[:1]
    assert complaint.startswith("JWT_SECRET_KEY_FILE: expected ")
    if expected == "not both":
        assert expected in complaint
    else:
        environ = {k: v for k, v in ENVIRON.items() if k != "JWT_SECRET_KEY"}
        (complaint,) = complaints(environ | {"JWT_SECRET_KEY_FILE": str(file)})
        assert expected in complaint


def test_an_empty_secret_file_is_an_error(tmp_path):
    file = tmp_path / "secret"
    file.write_text("\n")
    environ = {k: v for k, v in ENVIRON.items() if k != "REDIS_URL"}
    (complaint,) = complaints(environ | {"REDIS_URL_FILE": str(file)})
    assert complaint.startswith("REDIS_URL_FILE: expected a file that is not empty")


def test_the_environment_goes_before_the_file_for_the_limits_of_usdt(config_dir):
    edit(config_dir, "payout-router-config.yaml", "currencies.USDT.min_amount", "3")
    limits = {"MAX_PAYOUT_AMOUNT": "50.5", "DAILY_PAYOUT_LIMIT": "60"}
    currencies = load_settings(ENVIRON | limits | {"CONFIG_DIR": str(config_dir)}).router.currencies
    usdt, trx = currencies[Currency.USDT], currencies[Currency.TRX]
    assert (usdt.min_amount, usdt.max_amount, usdt.daily_limit) == (3000000, 50500000, 60000000)
    assert trx == load_settings(ENVIRON).router.currencies[Currency.TRX]


@pytest.mark.parametrize(
    ("name", "path", "value", "expected"),
    [
        ("payout-router-config.yaml", "currencies.USDT.max_amount", 10.5, "in quotes"),
        ("payout-router-config.yaml", "currencies.USDT.max_amount", "0", "greater than 0"),
        ("payout-router-config.yaml", "currencies.USDT.max_amount", "0.001", "min_amount ≤"),
        ("payout-router-config.yaml", "currencies.EUR", {}, "'USDT' or 'TRX'"),
        ("payout-router-config.yaml", "attempt.life_seconds", 999, "max_beyond_cursor"),
        ("payout-router-config.yaml", "fees.fee_limit_trx", "90", "max_fee_limit_trx"),
        ("payout-router-config.yaml", "api.default_page_size", 500, "max_page_size"),
        ("payout-router-config.yaml", "api.max_batch_items", 201, "max_batch_items"),
        ("payout-router-config.yaml", "api.batch_seconds", 25, "batch_seconds < request_seconds"),
        ("payout-router-config.yaml", "dispatch.group_size", 0, "greater than"),
        ("payout-router-config.yaml", "settle.poll_seconds", None, "required"),
        ("payout-router-config.yaml", "tron.http.max_connections", "many", "an integer"),
        ("retry-config.yaml", "breakers.tron.failure_threshold", 0, "greater than"),
        ("payout-error-codes.yaml", "codes.X1", {}, "pattern"),
        ("payout-error-codes.yaml", "codes.P100.http_status", 200, "greater than"),
        ("payout-security-policies.yaml", "jwt.required_claims", ["sub"], "sub, role, iat"),
        ("payout-security-policies.yaml", "roles.USER.permissions", ["payout:steal:own"], "nouns"),
        ("payout-security-policies.yaml", "roles.ROOT", {}, "'USER'"),
        ("prometheus-metrics.yaml", "families", [], None),
    ],
)
def test_every_file_is_validated(config_dir, name, path, value, expected):
    edit(config_dir, name, path, value)
    if expected is None:
        assert load_settings(ENVIRON | {"CONFIG_DIR": str(config_dir)}).metrics.families == ()
        return
    found = complaints(ENVIRON, config_dir)
    assert all(line.startswith(f"{name}: ") for line in found)
    assert expected in "\n".join(found)


def test_a_family_that_is_declared_twice_is_refused(config_dir):
    file = config_dir / "prometheus-metrics.yaml"
    text = file.read_text(encoding="utf-8")
    again = "  - {name: payout_unexplained_transfers, type: gauge, help: Again.}\n"
    file.write_text(text + again, encoding="utf-8")
    assert "each family once" in complaints(ENVIRON, config_dir)[0]


def test_the_metrics_of_the_file_can_be_built():
    families = load_settings(ENVIRON).metrics.families
    text, _ = Metrics(families).render()
    assert all(f"# HELP {family.name} ".encode() in text for family in families)


def test_several_endpoints_with_their_solid_views_and_the_key_for_trongrid_only():
    settings = load_settings(
        ENVIRON
        | {
            "TRON_RPC_URL": "https://api.trongrid.io/, http://mine:8090",
            "TRON_SOLIDITY_URL": "https://eviltrongrid.io,http://mine:8091",
            "TRONGRID_API_KEY": "grid-key",
        }
    )
    first, second = settings.endpoints
    assert (first.url, first.solidity_url) == ("https://api.trongrid.io", "https://eviltrongrid.io")
    assert first.api_key is not None
    assert first.api_key.get_secret_value() == "grid-key"
    assert first.solidity_api_key is None
    assert (second.url, second.solidity_url) == ("http://mine:8090", "http://mine:8091")
    assert (second.api_key, second.solidity_api_key) == (None, None)


def test_the_key_is_not_sent_in_clear_text():
    environ = {"TRON_RPC_URL": "http://api.trongrid.io", "TRONGRID_API_KEY": "grid-key"}
    assert load_settings(ENVIRON | environ).endpoints[0].api_key is None


@pytest.mark.parametrize("network", ["nile", "shasta"])
def test_a_test_network_needs_its_own_token_contract(network):
    (complaint,) = complaints(ENVIRON | {"TRON_NETWORK": network})
    assert complaint.startswith("USDT_CONTRACT_ADDRESS: ")
    settings = load_settings(
        ENVIRON | {"TRON_NETWORK": network, "USDT_CONTRACT_ADDRESS": OWN_ADDRESS}
    )
    assert settings.usdt_contract_address == OWN_ADDRESS
    assert network in settings.endpoints[0].url


DEVNET = {
    "TRON_NETWORK": "devnet",
    "TRON_RPC_URL": "http://127.0.0.1:18090",
    "DEBUG": "true",
    "JWT_SECRET_KEY": "dev-" + SECRET,
    "JWT_OTHER_SECRET_KEYS": f"old:dev-{SECRET}",
    "WALLET_ENCRYPTION_KEY": "dev-" + SECRET,
    "TRON_ADDRESS": min(DEVNET_ADDRESSES),
}


def test_development_takes_what_production_refuses():
    settings = load_settings(ENVIRON | DEVNET | {"LUCID_ENV": "development"})
    assert settings.genesis_id is None
    assert settings.refused_addresses == frozenset()
    refused = [
        line.partition(":")[0]
        for line in complaints(ENVIRON | DEVNET | {"LUCID_ENV": "production"})
    ]
    assert sorted(refused) == sorted(set(DEVNET) - {"TRON_RPC_URL"})
    assert load_settings(ENVIRON).refused_addresses == DEVNET_ADDRESSES


def test_the_devnet_wallets_that_production_refuses_are_the_devnets():
    from adapters.signer.keys import address_of_private_key
    from devnet.settings import DEVNET_KEYS

    assert {address_of_private_key(bytes.fromhex(key)) for key in DEVNET_KEYS} == DEVNET_ADDRESSES


def test_no_secret_is_in_the_text_of_the_settings():
    settings = load_settings(
        ENVIRON
        | {
            "TRON_PRIVATE_KEY": "ab" * 32,
            "TRONGRID_API_KEY": "grid-key",
            "JWT_OTHER_SECRET_KEYS": f"old:{'o' * 32},older:{'p' * 32}",
        }
    )
    secrets = settings.secret_values
    assert {SECRET, "p%40ss", "p@ss", "cachepw", "ab" * 32, "grid-key"} <= secrets
    assert {"o" * 32, "p" * 32} <= secrets
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert not [secret for secret in secrets if secret in text]


def test_settings_are_frozen():
    settings = load_settings(ENVIRON)
    with pytest.raises(ValueError, match="frozen"):
        settings.router.dispatch.group_size = 5
    with pytest.raises(ValueError, match="frozen"):
        settings.environment.debug = True


def test_every_role_is_described_and_only_people_resolve():
    roles = load_security_policies({}).roles
    assert set(roles) == set(Role)
    assert set(roles[Role.USER].grants.values()) == {Reach.OWN}
    operator = roles[Role.NODE_OPERATOR].grants
    assert {reach for action, reach in operator.items() if action != "route:view"} == {Reach.NODE}
    resolvers = {role for role, policy in roles.items() if "payout:resolve" in policy.grants}
    assert resolvers == {Role.ADMIN, Role.SUPER_ADMIN}


def test_a_command_is_asked_for_its_own_variables_only():
    assert load_variables({"SERVICE_PORT": "1"}, "SERVICE_PORT").service_port == 1
    with pytest.raises(ConfigError, match="JWT_SECRET_KEY") as refusal:
        load_variables({"SERVICE_PORT": "x"}, "JWT_SECRET_KEY")
    assert len(refusal.value.problems) == 1


def test_broken_security_policies_are_refused_alone(config_dir):
    (config_dir / "payout-security-policies.yaml").write_text("jwt: 1\n")
    with pytest.raises(ConfigError, match=r"payout-security-policies\.yaml: roles"):
        load_security_policies({"CONFIG_DIR": str(config_dir)})


def test_loading_reads_nothing_but_what_it_is_given(monkeypatch):
    for name, value in ENVIRON.items():
        monkeypatch.setitem(os.environ, name, value)
    with pytest.raises(ConfigError, match="MONGODB_URL"):
        load_settings({})


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("", "127.0.0.1"),
        ("10.0.0.0/8, 192.0.2.7", "10.0.0.0/8,192.0.2.7"),
        ("::1,2001:db8::/32", "::1,2001:db8::/32"),
    ],
)
def test_proxies_are_addresses_and_networks(given, found):
    settings = load_settings(ENVIRON | {"FORWARDED_ALLOW_IPS": given})
    assert settings.environment.forwarded_allow_ips == found


@pytest.mark.parametrize("value", [-1, 11, "soon"])
def test_how_long_a_refusal_waits_is_bounded(config_dir, value):
    name = "payout-router-config.yaml"
    edit(config_dir, name, "api.refusal_seconds", value)
    assert "api.refusal_seconds" in "".join(complaints(ENVIRON, config_dir))


def test_a_refusal_waits_no_longer_than_a_request_may_take(config_dir):
    edit(config_dir, "payout-router-config.yaml", "api.request_seconds", 1.9)
    assert "refusal_seconds at most half" in "".join(complaints(ENVIRON, config_dir))


def test_a_role_without_a_rate_for_what_it_may_do_is_refused(config_dir):
    edit(config_dir, "payout-security-policies.yaml", "roles.USER.rate_limits.create", None)
    assert "rate_limits for create, which" in "".join(complaints(ENVIRON, config_dir))
