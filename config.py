"""Settings of the service: read once from the environment and `config/*.yaml`, then frozen.

The environment beats the files, the files beat the defaults. Whatever is wrong is reported all at
once, each with the variable's name or the file and key, and never with the value of a secret.

Amounts are integers in base units (10^-6 USDT, sun), times are seconds.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from models.address import address_bytes
from models.limits import AmountLimits
from models.money import Currency, parse_amount
from utils.circuit_breaker import BreakerPolicy
from utils.config_loader import (
    ConfigProblem,
    Override,
    describe_expected,
    describe_found,
    load_config,
)
from utils.connection_pool import HttpPoolSettings, MongoPoolSettings, RedisPoolSettings
from utils.files import folder_fault
from utils.metrics import MetricFamily
from utils.retry import RetryPolicy

SERVICE_NAME: Final = "tron-payout-router"
VERSION: Final = "0.1.0"
DEFAULT_CONFIG_DIR: Final = Path(__file__).resolve().parent / "config"
DEFAULT_PORT: Final = 8092

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

DEVNET_ADDRESSES: Final = frozenset(
    {
        "TYXiy8NLNZZnN2Gv123kicqnNmiARi7dnr",
        "TXgyMiT2JDTpyAKHGLuegGLMNqGxSbi4ZP",
        "TNc4LnqmacfY1x4oc8hbtUZp9zdeqrv7j1",
    }
)
"""Wallets whose private keys are published with the devnet: production refuses them."""


class Network(StrEnum):
    """The chains that the router pays on; a devnet is whatever TRON_RPC_URL leads to."""

    MAINNET = "mainnet"
    NILE = "nile"
    SHASTA = "shasta"
    DEVNET = "devnet"


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """What is fixed for a public network; `genesis_id` is the block id of block 0 (hex)."""

    rpc_url: str
    genesis_id: str
    usdt_contract_address: str | None


# Block ids of block 0 and public endpoints as TronGrid serves them (getblockbynum 0); USDT as
# Tether publishes it. The test networks have no USDT of Tether's, and a devnet deploys its token
# at mainnet's address.
MAINNET_USDT: Final = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
NETWORK_FACTS: Final[Mapping[Network, NetworkFacts]] = MappingProxyType(
    {
        Network.MAINNET: NetworkFacts(
            "https://api.trongrid.io",
            "00000000000000001ebf88508a03865c71d452e25f4d51194196a1d22b6653dc",
            MAINNET_USDT,
        ),
        Network.NILE: NetworkFacts(
            "https://nile.trongrid.io",
            "0000000000000000d698d4192c56cb6be724a558448e2684802de4d6cd8690dc",
            None,
        ),
        Network.SHASTA: NetworkFacts(
            "https://api.shasta.trongrid.io",
            "0000000000000000de1aa88295e1fcf982742f773e0419c5a9c134c994a9059e",
            None,
        ),
    }
)


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


# ---- the types of values ----


def _money(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError('a decimal string in quotes such as "12.50"')
    try:
        return parse_amount(value)
    except ValueError as error:
        raise ValueError('a decimal string such as "12.50", at most 6 decimals') from error


def _address(value: str) -> str:
    try:
        address_bytes(value)
    except ValueError as error:
        raise ValueError("a TRON address in base58 (T…)") from error
    return value


def _private_key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip().removeprefix("0x")
    try:
        if len(bytes.fromhex(text)) != 32 or len(text) != 64:
            raise ValueError
    except ValueError:
        raise ValueError("32 bytes as 64 hexadecimal digits") from None
    return SecretStr(text)


def _is_url(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises ValueError where it is none
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.netloc or parts.path)


def _mongodb_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if url.startswith("mongodb+srv://"):
        return value  # only a DNS server knows what it stands for
    try:
        parse_uri(url)
    except (PyMongoError, ValueError):
        raise ValueError(
            "mongodb://user:password@host:port/database, special characters %-escaped, with "
            "options that the driver knows; or mongodb+srv://…"
        ) from None
    return value


def _redis_url(value: SecretStr) -> SecretStr:
    if not _is_url(value.get_secret_value(), ("redis", "rediss", "unix")):
        raise ValueError("redis://host:port/0, rediss://… or unix://…")
    return value


def _jwt_key(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value().encode()) < 32:
        raise ValueError("at least 32 bytes")
    return value


def _wallet_key(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < 12:
        raise ValueError("32 bytes as hex or base64, or a passphrase of at least 12 characters")
    return value


def _permission_id(value: int) -> int:
    if value != 0 and not 2 <= value <= 9:
        raise ValueError("0 for the owner permission, 2 to 9 for an active one")
    return value


def _http_urls(value: str) -> tuple[str, ...]:
    urls = tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
    if not all(_is_url(url, ("http", "https")) and urlsplit(url).hostname for url in urls):
        raise ValueError("http://… or https://…, several separated by commas")
    if len(set(urls)) != len(urls):
        raise ValueError("each URL once")
    return urls


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Money = Annotated[int, BeforeValidator(_money)]
PositiveMoney = Annotated[Money, Field(gt=0)]
Address = Annotated[str, AfterValidator(_address)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
HttpUrls = Annotated[tuple[str, ...], BeforeValidator(_http_urls)]


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )


# ---- config/payout-router-config.yaml ----


class CurrencyLimits(_Frozen):
    """Limits of one currency in base units; `daily_limit` is per UTC day, over all clients."""

    min_amount: PositiveMoney
    max_amount: PositiveMoney
    daily_limit: PositiveMoney

    @model_validator(mode="after")
    def _check(self) -> "CurrencyLimits":
        if not self.min_amount <= self.max_amount <= self.daily_limit:
            raise ValueError("min_amount ≤ max_amount ≤ daily_limit")
        return self


class DispatchConfig(_Frozen):
    """The claim of due payouts: group size, lease, what happens to those that are skipped, when a
    person looks (deaths that count, preflights that say "revert"), and broadcasts at once."""

    group_size: int = Field(ge=1, le=1000)
    concurrency: int = Field(ge=1, le=1000)
    poll_seconds: Seconds
    lease_seconds: Seconds
    skip_seconds: Seconds
    max_attempts_before_review: int = Field(ge=1, le=100)
    max_refusals_before_review: int = Field(ge=1, le=100)


class AttemptConfig(_Frozen):
    """An attempt's life, all of it in the chain's time."""

    life_seconds: int = Field(ge=15, le=3600)
    max_beyond_cursor_seconds: int = Field(ge=15, le=86_400)
    head_stale_seconds: int = Field(ge=6, le=3600)

    @model_validator(mode="after")
    def _check(self) -> "AttemptConfig":
        if self.life_seconds > self.max_beyond_cursor_seconds:
            raise ValueError("life_seconds ≤ max_beyond_cursor_seconds")
        return self


class FeeConfig(_Frozen):
    """What may be burnt, in sun (the file says TRX): per try, per payout, per wallet and day."""

    fee_limit_sun: PositiveMoney = Field(alias="fee_limit_trx")
    max_fee_limit_sun: PositiveMoney = Field(alias="max_fee_limit_trx")
    payout_fee_cap_sun: PositiveMoney = Field(alias="payout_fee_cap_trx")
    daily_ceiling_sun: PositiveMoney = Field(alias="daily_ceiling_trx")

    @model_validator(mode="after")
    def _check(self) -> "FeeConfig":
        steps = (
            self.fee_limit_sun,
            self.max_fee_limit_sun,
            self.payout_fee_cap_sun,
            self.daily_ceiling_sun,
        )
        if list(steps) != sorted(steps):
            raise ValueError(
                "fee_limit_trx ≤ max_fee_limit_trx ≤ payout_fee_cap_trx ≤ daily_ceiling_trx"
            )
        return self


class PreflightConfig(_Frozen):
    """Whether a token transfer is simulated before it is signed."""

    enabled: bool


class SettleConfig(_Frozen):
    """Reading solid blocks, judging what is overdue, and sending the same bytes again."""

    poll_seconds: Seconds
    blocks_per_read: int = Field(ge=1, le=100)
    group_size: int = Field(ge=1, le=1000)
    review_seconds: Seconds
    resend_after_seconds: Seconds
    unsent_after_seconds: Seconds


class TronConfig(_Frozen):
    """Calls to one endpoint: how many a second, how many at once, and how large an answer; and
    after how long a silence an endpoint has no say in what is believed."""

    silent_after_seconds: Seconds
    requests_per_second: float = Field(gt=0, le=10_000)
    burst: int = Field(ge=1, le=10_000)
    max_answer_bytes: int = Field(ge=65_536, le=1 << 30)
    http: HttpPoolSettings


class ApiConfig(_Frozen):
    """Pages and bodies."""

    default_page_size: int = Field(ge=1, le=1000)
    max_page_size: int = Field(ge=1, le=1000)
    max_body_bytes: int = Field(ge=1024, le=1 << 24)

    @model_validator(mode="after")
    def _check(self) -> "ApiConfig":
        if self.default_page_size > self.max_page_size:
            raise ValueError("default_page_size ≤ max_page_size")
        return self


class RouterConfig(_Frozen):
    """`payout-router-config.yaml`."""

    currencies: dict[Currency, CurrencyLimits] = Field(min_length=1)
    dispatch: DispatchConfig
    attempt: AttemptConfig
    fees: FeeConfig
    preflight: PreflightConfig
    settle: SettleConfig
    tron: TronConfig
    mongodb: MongoPoolSettings
    redis: RedisPoolSettings
    api: ApiConfig

    @property
    def amount_limits(self) -> Mapping[Currency, AmountLimits]:
        """The limits of each currency that is paid here."""
        return {
            currency: AmountLimits(limits.min_amount, limits.max_amount, limits.daily_limit)
            for currency, limits in self.currencies.items()
        }


# ---- config/retry-config.yaml ----


class Retries(_Frozen):
    """How often each kind of call is tried."""

    node_query: RetryPolicy
    broadcast: RetryPolicy
    mongodb: RetryPolicy
    redis: RetryPolicy


class Breakers(_Frozen):
    """When the calls to something that keeps failing are stopped."""

    tron: BreakerPolicy
    mongodb: BreakerPolicy


class RetryConfig(_Frozen):
    """`retry-config.yaml`."""

    retries: Retries
    breakers: Breakers


# ---- config/payout-error-codes.yaml ----


class ErrorCode(_Frozen):
    """What a P-code means. Without `http_status` it is a status reason, never an answer."""

    title: str = Field(min_length=1)
    http_status: Annotated[int, Field(ge=400, le=599)] | None
    retryable: bool
    recovery_action: str = Field(pattern=r"^[a-z][a-z_]*$")
    severity: Literal["warning", "high", "critical"]


class ErrorCodes(_Frozen):
    """`payout-error-codes.yaml`."""

    codes: dict[Annotated[str, Field(pattern=r"^P[0-9]{3}$")], ErrorCode] = Field(min_length=1)


# ---- config/payout-security-policies.yaml ----


class Role(StrEnum):
    """Who a token speaks for."""

    USER = "USER"
    NODE_OPERATOR = "NODE_OPERATOR"
    APPROVER = "APPROVER"
    SERVICE = "SERVICE"
    ADMIN = "ADMIN"
    SUPER_ADMIN = "SUPER_ADMIN"


class Scope(StrEnum):
    """Whose payouts a role reaches: its own, those of its token's node as well, or all."""

    OWN = "own"
    NODE = "node"
    ALL = "all"


class Permission(StrEnum):
    """What a role may do within its scope."""

    CREATE = "create"
    LIST = "list"
    VIEW = "view"
    CANCEL = "cancel"
    RESOLVE = "resolve"
    STATS = "stats"
    UNEXPLAINED = "unexplained"
    GATES = "gates"


class RolePolicy(_Frozen):
    """One role's reach and permissions."""

    scope: Scope
    may: frozenset[Permission]


class JwtPolicy(_Frozen):
    """Which tokens are taken."""

    # HMAC only: JWT_SECRET_KEY is a shared secret.
    algorithms: tuple[Literal["HS256", "HS384", "HS512"], ...] = Field(min_length=1)
    required_claims: tuple[Literal["sub", "role", "iat", "exp", "jti"], ...]
    leeway_seconds: int = Field(ge=0, le=300)
    max_token_hours: float = Field(gt=0, le=24 * 366)

    @model_validator(mode="after")
    def _check(self) -> "JwtPolicy":
        missing = {"sub", "role", "iat", "exp"} - set(self.required_claims)
        if missing:
            raise ValueError("required_claims with sub, role, iat and exp")
        return self


class SecurityPolicies(_Frozen):
    """`payout-security-policies.yaml`."""

    jwt: JwtPolicy
    roles: dict[Role, RolePolicy] = Field(min_length=1)


# ---- config/prometheus-metrics.yaml ----


class MetricsConfig(_Frozen):
    """`prometheus-metrics.yaml`."""

    families: tuple[MetricFamily, ...]

    @model_validator(mode="after")
    def _check(self) -> "MetricsConfig":
        names = [family.name for family in self.families]
        if len(set(names)) != len(names):
            raise ValueError("each family once")
        return self


# ---- the environment ----


class Environment(BaseModel):
    """The variables, one field each: the field's name in capitals is the variable's.

    `service_port` also comes from PAYOUT_ROUTER_PORT. Every SecretStr may come from the file that
    `<NAME>_FILE` names instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    service_host: str = "0.0.0.0"  # noqa: S104  a container's service listens on all interfaces
    service_port: int = Field(default=DEFAULT_PORT, ge=1, le=65_535)
    workers: int = Field(default=1, ge=1, le=64)
    timeout: int = Field(default=30, ge=1, le=3600)
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)
    ] = "INFO"
    access_log: bool = True
    debug: bool = False
    lucid_env: Literal["development", "production"] = "production"
    config_dir: Path = DEFAULT_CONFIG_DIR
    log_dir: Path | None = None
    payment_systems_dir: Path | None = None
    payouts_dir: Path | None = None
    batches_dir: Path | None = None
    payout_token: SecretStr | None = None

    mongodb_url: Annotated[SecretStr, AfterValidator(_mongodb_url)] = Field(
        description="the URL of a MongoDB replica set, mongodb://…"
    )
    mongodb_wait_seconds: float = Field(default=30, ge=0, le=3600)
    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)] = Field(
        description="the URL of a Redis or Valkey, redis://…"
    )

    jwt_secret_key: Annotated[SecretStr, AfterValidator(_jwt_key)] = Field(
        description="a random secret of at least 32 bytes"
    )
    metrics_public: bool = True
    require_idempotency_key: bool = False

    wallet_encryption_key: Annotated[SecretStr, AfterValidator(_wallet_key)] = Field(
        description="32 bytes as hex or base64, or a passphrase of at least 12 characters"
    )
    keys_dir: Path = Path("/data/keys")
    tron_private_key: Annotated[SecretStr, AfterValidator(_private_key)] | None = None
    tron_address: Address | None = None
    tron_permission_id: Annotated[int, AfterValidator(_permission_id)] = 0

    tron_network: Network = Network.MAINNET
    tron_rpc_url: HttpUrls = ()
    tron_solidity_url: HttpUrls = ()
    trongrid_api_key: SecretStr | None = None
    usdt_contract_address: Address | None = None
    quarantine: bool = False

    @property
    def production(self) -> bool:
        """Whether LUCID_ENV is production."""
        return self.lucid_env == "production"


SECRET_VARIABLES: Final = frozenset(
    {
        "MONGODB_URL",
        "REDIS_URL",
        "JWT_SECRET_KEY",
        "WALLET_ENCRYPTION_KEY",
        "TRON_PRIVATE_KEY",
        "TRONGRID_API_KEY",
        "PAYOUT_TOKEN",
    }
)
"""Variables that may come as `<NAME>_FILE`, and whose values are never shown."""

WRITABLE_FOLDERS: Final = ("LOG_DIR", "PAYMENT_SYSTEMS_DIR", "PAYOUTS_DIR", "BATCHES_DIR")
"""Variables that name a folder to write to; what a folder is for is left out without it."""

# Endpoint URLs can carry a provider's key in their path.
_HIDDEN_VARIABLES = SECRET_VARIABLES | {"TRON_RPC_URL", "TRON_SOLIDITY_URL"}

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


class Settings(_Frozen):
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
    if variable in _HIDDEN_VARIABLES and detail["type"] != "missing":
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
    yield from _unusable_folders(env)
    if env.production:
        yield from _unfit_for_production(env)


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
    ):
        if secret.get_secret_value().startswith(DEVELOPMENT_SECRET_PREFIX):
            yield ConfigProblem(
                variable, "", "a secret of your own in production", "a development value"
            )
