"""The environment: every variable that the service reads, and what is fixed for a network."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from settings.keys import JwtKey, KeyId, PublicKeys, SharedSecrets
from settings.values import (
    Address,
    HttpUrls,
    LogLevel,
    MongodbUrl,
    Networks,
    PermissionId,
    PrivateKey,
    RedisUrl,
    WalletKey,
)

DEFAULT_PORT: Final = 8092
DEFAULT_CONFIG_DIR: Final = Path(__file__).resolve().parents[1] / "config"


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
    forwarded_allow_ips: Networks = "127.0.0.1"
    log_level: LogLevel = "INFO"
    access_log: bool = True
    debug: bool = False
    lucid_env: Literal["development", "production"] = "production"
    config_dir: Path = DEFAULT_CONFIG_DIR
    log_dir: Path | None = None
    payment_systems_dir: Path | None = None
    payouts_dir: Path | None = None
    batches_dir: Path | None = None
    payout_token: SecretStr | None = None

    mongodb_url: MongodbUrl = Field(description="the URL of a MongoDB replica set, mongodb://…")
    mongodb_wait_seconds: float = Field(default=30, ge=0, le=3600)
    redis_url: RedisUrl = Field(description="the URL of a Redis or Valkey, redis://…")

    jwt_secret_key: JwtKey = Field(description="a random secret of at least 32 bytes")
    jwt_key_id: KeyId | None = None
    jwt_other_secret_keys: SharedSecrets = ()
    jwt_jwks_file: PublicKeys = ()
    metrics_public: bool = True
    require_idempotency_key: bool = False

    wallet_encryption_key: WalletKey = Field(
        description="32 bytes as hex or base64, or a passphrase of at least 12 characters"
    )
    keys_dir: Path = Path("/data/keys")
    tron_private_key: PrivateKey | None = None
    tron_address: Address | None = None
    tron_permission_id: PermissionId = 0

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
        "JWT_OTHER_SECRET_KEYS",
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
HIDDEN_VARIABLES = SECRET_VARIABLES | {"TRON_RPC_URL", "TRON_SOLIDITY_URL"}
