"""Settings of the service: read once from the environment and `config/*.yaml`, then frozen.

The environment beats the files, the files beat the defaults. Whatever is wrong is reported all at
once, each with the variable's name or the file and key, and never with the value of a secret.

Amounts are integers in base units (10^-6 USDT, sun), times are seconds.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote, urlsplit

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from models.money import Currency
from settings.environment import (
    DEVNET_ADDRESSES,
    HIDDEN_VARIABLES,
    MAINNET_USDT,
    NETWORK_FACTS,
    SECRET_VARIABLES,
    WRITABLE_FOLDERS,
    Environment,
    Network,
)
from settings.keys import KeyRing, key_ring
from settings.router import RouterConfig
from settings.security import SecurityPolicies
from settings.values import Frozen
from utils.circuit_breaker import BreakerPolicy
from utils.config_loader import (
    ConfigProblem,
    Override,
    describe_expected,
    describe_found,
    load_config,
)
from utils.files import folder_fault
from utils.metrics import MetricFamily
from utils.retry import RetryPolicy

SERVICE_NAME: Final = "tron-payout-router"
VERSION: Final = "0.1.0"

EXIT_CONFIG: Final = 78
"""EX_CONFIG of sysexits.h: a setting or key is wrong; starting again changes nothing."""
EXIT_DATA: Final = 65
"""EX_DATAERR: a file to pay is wrong."""
EXIT_DEPENDENCY_DOWN: Final = 75
"""EX_TEMPFAIL: MongoDB is not reachable; starting again later may help."""
EXIT_PORT_IN_USE: Final = 71
"""EX_OSERR: the port is taken."""

DEVELOPMENT_SECRET_PREFIX: Final = "dev-"  # noqa: S105  not a secret
"""How generated development secrets begin, so that production can refuse them."""


class ConfigError(Exception):
    """The settings are wrong; `problems` is everything that is."""

    exit_code = EXIT_CONFIG

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StartupError(Exception):
    """The service cannot start; one line for people and the exit code of the process."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


# ---- config/retry-config.yaml ----


class Retries(Frozen):
    """How often each kind of call is tried."""

    node_query: RetryPolicy
    broadcast: RetryPolicy
    mongodb: RetryPolicy
    redis: RetryPolicy


class Breakers(Frozen):
    """When the calls to something that keeps failing are stopped."""

    tron: BreakerPolicy
    mongodb: BreakerPolicy


class RetryConfig(Frozen):
    """`retry-config.yaml`."""

    retries: Retries
    breakers: Breakers


# ---- config/payout-error-codes.yaml ----


class ErrorCode(Frozen):
    """What a P-code means. Without `http_status` it is a status reason, never an answer."""

    title: str = Field(min_length=1)
    http_status: Annotated[int, Field(ge=400, le=599)] | None
    retryable: bool
    recovery_action: str = Field(pattern=r"^[a-z][a-z_]*$")
    severity: Literal["warning", "high", "critical"]


class ErrorCodes(Frozen):
    """`payout-error-codes.yaml`."""

    codes: dict[Annotated[str, Field(pattern=r"^P[0-9]{3}$")], ErrorCode] = Field(min_length=1)


# ---- config/prometheus-metrics.yaml ----


class MetricsConfig(Frozen):
    """`prometheus-metrics.yaml`."""

    families: tuple[MetricFamily, ...]

    @model_validator(mode="after")
    def _check(self) -> "MetricsConfig":
        names = [family.name for family in self.families]
        if len(set(names)) != len(names):
            raise ValueError("each family once")
        return self


ROUTER_OVERRIDES: Final = (
    Override("MIN_PAYOUT_AMOUNT", ("currencies", "USDT", "min_amount")),
    Override("MAX_PAYOUT_AMOUNT", ("currencies", "USDT", "max_amount")),
    Override("DAILY_PAYOUT_LIMIT", ("currencies", "USDT", "daily_limit")),
)
"""Variables that replace a value of payout-router-config.yaml."""


# ---- the whole ----


@dataclass(frozen=True, slots=True)
class NodeEndpoint:
    """One TRON node: where its full and its solid view are, and the keys to send to each."""

    url: str
    solidity_url: str
    api_key: SecretStr | None
    solidity_api_key: SecretStr | None


class Settings(Frozen):
    """Everything that the service is told, validated."""

    environment: Environment
    router: RouterConfig
    retry: RetryConfig
    error_codes: ErrorCodes
    security: SecurityPolicies
    metrics: MetricsConfig

    @property
    def genesis_id(self) -> str | None:
        """Block id of block 0 (hex) that every endpoint must have; None on a devnet: any."""
        facts = NETWORK_FACTS.get(self.environment.tron_network)
        return facts.genesis_id if facts else None

    @property
    def usdt_contract_address(self) -> str:
        """The TRC20 contract that USDT payouts call."""
        return self.environment.usdt_contract_address or MAINNET_USDT

    @cached_property
    def token_keys(self) -> KeyRing:
        """The keys that verify tokens."""
        env = self.environment
        return key_ring(
            env.jwt_secret_key,
            env.jwt_key_id,
            env.jwt_other_secret_keys,
            env.jwt_jwks_file,
            self.security.jwt.algorithms,
        )

    @property
    def endpoints(self) -> tuple[NodeEndpoint, ...]:
        """The TRON nodes, in order of preference."""
        env = self.environment
        urls = env.tron_rpc_url or (NETWORK_FACTS[env.tron_network].rpc_url,)
        solidity_urls = env.tron_solidity_url or urls
        return tuple(
            NodeEndpoint(url, solidity, self._api_key_for(url), self._api_key_for(solidity))
            for url, solidity in zip(urls, solidity_urls, strict=True)
        )

    def _api_key_for(self, url: str) -> SecretStr | None:
        parts = urlsplit(url)
        of_trongrid = f".{parts.hostname}".endswith(".trongrid.io") and parts.scheme == "https"
        return self.environment.trongrid_api_key if of_trongrid else None

    @property
    def refused_addresses(self) -> frozenset[str]:
        """Wallets that this environment does not pay from."""
        return DEVNET_ADDRESSES if self.environment.production else frozenset()

    @property
    def secret_values(self) -> frozenset[str]:
        """Every string that must never reach a log: secrets and the credentials inside URLs."""
        env = self.environment
        secrets = (
            env.mongodb_url,
            env.redis_url,
            env.jwt_secret_key,
            env.wallet_encryption_key,
            env.tron_private_key,
            env.trongrid_api_key,
            env.payout_token,
            *(one.secret for one in env.jwt_other_secret_keys),
        )
        values = {secret.get_secret_value() for secret in secrets if secret is not None}
        for url in (env.mongodb_url.get_secret_value(), env.redis_url.get_secret_value()):
            password = _password(url)
            values |= {password, unquote(password)}
        return frozenset(value for value in values if value)


def _password(url: str) -> str:
    user_info, at, _ = urlsplit(url).netloc.rpartition("@")
    return user_info.partition(":")[2] if at else ""


_FILES: Final[Mapping[str, tuple[str, type[BaseModel], tuple[Override, ...]]]] = MappingProxyType(
    {
        "router": ("payout-router-config.yaml", RouterConfig, ROUTER_OVERRIDES),
        "retry": ("retry-config.yaml", RetryConfig, ()),
        "error_codes": ("payout-error-codes.yaml", ErrorCodes, ()),
        "security": ("payout-security-policies.yaml", SecurityPolicies, ()),
        "metrics": ("prometheus-metrics.yaml", MetricsConfig, ()),
    }
)
"""Field of `Settings` → the file that it is read from."""


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from the environment and the YAML files of CONFIG_DIR.

    An empty variable counts as one that is not set. Raises ConfigError with everything that is
    wrong in the environment and in all files.
    """
    problems: list[ConfigProblem] = []
    environment = _load_environment(environ, problems)
    parts: dict[str, Any] = {}
    for field, (name, model, overrides) in _FILES.items():
        loaded = load_config(environment.config_dir / name, model, environ, overrides)
        problems += loaded.problems
        parts[field] = loaded.model
    reported = {problem.source for problem in problems}
    problems += [
        problem
        for problem in _contradictions(environment, parts["router"])
        if problem.source not in reported
    ]
    if problems:
        raise ConfigError(problems)
    return Settings(environment=environment, **parts)


def load_variables(environ: Mapping[str, str], *names: str) -> Environment:
    """The environment for a command that needs only these variables.

    Raises ConfigError for what is wrong with them. The others may be missing or wrong, and must
    not be read.
    """
    problems: list[ConfigProblem] = []
    environment = _load_environment(environ, problems)
    relevant = [problem for problem in problems if problem.source.removesuffix("_FILE") in names]
    if relevant:
        raise ConfigError(relevant)
    return environment


def load_security_policies(environ: Mapping[str, str]) -> SecurityPolicies:
    """`payout-security-policies.yaml` of CONFIG_DIR alone. Raises ConfigError."""
    config_dir = load_variables(environ, "CONFIG_DIR").config_dir
    loaded = load_config(config_dir / _FILES["security"][0], SecurityPolicies, environ)
    if loaded.model is None:
        raise ConfigError(loaded.problems)
    return loaded.model


def load_router_config(environ: Mapping[str, str]) -> RouterConfig:
    """`payout-router-config.yaml` of CONFIG_DIR alone. Raises ConfigError."""
    config_dir = load_variables(environ, "CONFIG_DIR").config_dir
    loaded = load_config(config_dir / _FILES["router"][0], RouterConfig, environ, ROUTER_OVERRIDES)
    if loaded.model is None:
        raise ConfigError(loaded.problems)
    return loaded.model


def _load_environment(environ: Mapping[str, str], problems: list[ConfigProblem]) -> Environment:
    variables = _variables(environ)
    values: dict[str, str] = {}
    for field, variable in variables.items():
        value = environ.get(variable)
        if variable in SECRET_VARIABLES and environ.get(f"{variable}_FILE"):
            value = _secret_from_file(variable, environ, problems)
        if value:
            values[field] = value
    try:
        return Environment.model_validate(values)
    except ValidationError as error:
        reported = {problem.source.removesuffix("_FILE") for problem in problems}
        details = error.errors()
        problems += [
            _environment_problem(detail, variables)
            for detail in details
            if variables[str(detail["loc"][0])] not in reported
        ]
        # So that contradictions among the rest show in the same run.
        wrong = {str(detail["loc"][0]) for detail in details}
        rest = {field: value for field, value in values.items() if field not in wrong}
        return Environment.model_validate(_STAND_INS | rest)


_STAND_INS: Final = {
    "mongodb_url": "mongodb://unset",
    "redis_url": "redis://unset",
    "jwt_secret_key": "unset" * 8,
    "wallet_encryption_key": "unset" * 8,
}
"""Values that pass, for required variables that are missing: only ever used to look on."""


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Field of `Environment` → the variable that it is read from."""
    variables = {field: field.upper() for field in Environment.model_fields}
    if not environ.get("SERVICE_PORT") and environ.get("PAYOUT_ROUTER_PORT"):
        variables["service_port"] = "PAYOUT_ROUTER_PORT"
    return variables


def _secret_from_file(
    variable: str, environ: Mapping[str, str], problems: list[ConfigProblem]
) -> str | None:
    source = f"{variable}_FILE"
    if environ.get(variable):
        problems.append(ConfigProblem(source, "", f"{variable} or {source}, not both", "both"))
        return None
    path = Path(environ[source])
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8"
        problems.append(ConfigProblem(source, "", "a readable UTF-8 file", f"{path}: {reason}"))
        return None
    if not value:
        problems.append(ConfigProblem(source, "", "a file that is not empty", f"{path}: empty"))
    return value


def _environment_problem(detail: ErrorDetails, variables: Mapping[str, str]) -> ConfigProblem:
    field = str(detail["loc"][0])
    variable = variables[field]
    expected = describe_expected(detail)
    if detail["type"] == "missing":
        expected = f"{Environment.model_fields[field].description} (required)"
    found = describe_found(detail)
    if variable in HIDDEN_VARIABLES and detail["type"] != "missing":
        found = "something else (not shown)"
    return ConfigProblem(variable, "", expected, found)


def _contradictions(env: Environment, router: RouterConfig | None) -> Iterator[ConfigProblem]:
    """What is wrong although each variable by itself is right."""
    network = env.tron_network
    if network is Network.DEVNET and not env.tron_rpc_url:
        yield ConfigProblem("TRON_RPC_URL", "", "a URL, as TRON_NETWORK is devnet", "nothing")
    if env.tron_solidity_url:
        solid, full = len(env.tron_solidity_url), len(env.tron_rpc_url) or 1
        if solid != full:
            yield ConfigProblem(
                "TRON_SOLIDITY_URL", "", f"as many URLs as TRON_RPC_URL has ({full})", str(solid)
            )
    pays_usdt = router is not None and Currency.USDT in router.currencies
    if pays_usdt and network in (Network.NILE, Network.SHASTA) and not env.usdt_contract_address:
        yield ConfigProblem(
            "USDT_CONTRACT_ADDRESS", "", f"the TRC20 contract to use on {network}", "nothing"
        )
    yield from _ambiguous_key_ids(env)
    yield from _unusable_folders(env)
    if env.production:
        yield from _unfit_for_production(env)


def _ambiguous_key_ids(env: Environment) -> Iterator[ConfigProblem]:
    known = {env.jwt_key_id}
    for variable, keys in (
        ("JWT_OTHER_SECRET_KEYS", env.jwt_other_secret_keys),
        ("JWT_JWKS_FILE", env.jwt_jwks_file),
    ):
        kids = {one.kid for one in keys}
        if twice := kids & known:
            others = "key ids that no other key has"
            yield ConfigProblem(variable, "", others, f"{', '.join(sorted(twice))} again")
        known |= kids


def _unusable_folders(env: Environment) -> Iterator[ConfigProblem]:
    user = f"a folder that user {os.geteuid()}"
    for variable in WRITABLE_FOLDERS:
        folder: Path | None = getattr(env, variable.lower())
        fault = "" if folder is None else folder_fault(folder, os.R_OK | os.W_OK)
        if fault:
            yield ConfigProblem(variable, "", f"{user} can read and write", fault)
    fault = folder_fault(env.keys_dir, os.R_OK)
    # A folder that is not there holds no key, which is said where the key is looked for.
    if env.tron_private_key is None and fault and env.keys_dir.exists():
        yield ConfigProblem("KEYS_DIR", "", f"{user} can read", fault)


def _unfit_for_production(env: Environment) -> Iterator[ConfigProblem]:
    if env.tron_network is Network.DEVNET:
        yield ConfigProblem("TRON_NETWORK", "", "a public network in production", "devnet")
    if env.debug:
        yield ConfigProblem("DEBUG", "", "false in production", "true")
    if env.tron_address in DEVNET_ADDRESSES:
        yield ConfigProblem("TRON_ADDRESS", "", "a wallet of your own in production", "a devnet's")
    for variable, secret in (
        ("JWT_SECRET_KEY", env.jwt_secret_key),
        ("WALLET_ENCRYPTION_KEY", env.wallet_encryption_key),
        *(("JWT_OTHER_SECRET_KEYS", one.secret) for one in env.jwt_other_secret_keys),
    ):
        if secret.get_secret_value().startswith(DEVELOPMENT_SECRET_PREFIX):
            yield ConfigProblem(
                variable, "", "a secret of your own in production", "a development value"
            )
