"""What a devnet is made of: its settings, the parameters of its chain and its well-known keys."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

USDT_ADDRESS: Final = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
"""Where the devnet's token lives unless told otherwise: the address of USDT on mainnet."""

TRX: Final = 1_000_000
"""Sun in one TRX."""

TOKEN: Final = 1_000_000
"""Base units in one token."""

DEVNET_KEYS: Final = tuple(
    sha256(f"worthless devnet key {number}".encode()).hexdigest() for number in range(3)
)
"""Private keys that everybody knows: the hot wallet, its second wallet and a cold owner. Worthless
by design: whatever is sent to them on a real network is lost to the first who looks.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevnetSettings:
    """How a devnet behaves. Amounts in sun and base units, times in milliseconds."""

    nodes: int = 1
    """Endpoints over the one chain, 1 or more."""

    network: str = "devnet"
    """Seeds the genesis block and the witnesses: another name is another chain."""

    genesis_ms: int = 1_767_225_600_000
    """Timestamp of the genesis block."""

    block_interval_ms: int = 3_000
    """How far chain time moves from block to block."""

    tick_ms: int | None = None
    """Wall time between blocks; None makes blocks on demand only."""

    solid_lag: int = 19
    """Blocks between the head and the solid head, 0 or more."""

    token_address: str = USDT_ADDRESS
    wallet_trx_sun: int = 1_000_000 * TRX
    wallet_token_units: int = 10_000_000 * TOKEN
    """What each of the well-known keys holds in the genesis block."""

    data: Path | None = None
    """Folder of the journal that lets the same chain go on after a restart."""

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        if self.nodes < 1 or self.solid_lag < 0 or self.block_interval_ms < 1:
            raise ValueError("a devnet has nodes >= 1, solid_lag >= 0 and block_interval_ms >= 1")
        if self.tick_ms is not None and self.tick_ms < 1:
            raise ValueError("tick_ms is at least 1, or None")


TRANSACTION_FEE: Final = 1_000
"""Sun per byte of bandwidth."""

FREE_NET_LIMIT: Final = 600
"""Bytes a day that every account has for nothing."""

ENERGY_FEE: Final = 100
"""Sun per unit of energy."""

CREATE_ACCOUNT_FEE: Final = 100_000
NEW_ACCOUNT_SYSTEM_FEE: Final = 1 * TRX
MAX_FEE_LIMIT: Final = 15_000 * TRX
MULTI_SIGN_FEE: Final = 1 * TRX
PERMISSION_UPDATE_FEE: Final = 100 * TRX
MEMO_FEE: Final = 1 * TRX

CHAIN_PARAMETERS: Final[tuple[tuple[str, int], ...]] = (
    ("getMaintenanceTimeInterval", 21_600_000),
    ("getAccountUpgradeCost", 9_999 * TRX),
    ("getCreateAccountFee", CREATE_ACCOUNT_FEE),
    ("getTransactionFee", TRANSACTION_FEE),
    ("getAssetIssueFee", 1_024 * TRX),
    ("getWitnessPayPerBlock", 8 * TRX),
    ("getWitnessStandbyAllowance", 115_200 * TRX),
    ("getCreateNewAccountFeeInSystemContract", NEW_ACCOUNT_SYSTEM_FEE),
    ("getCreateNewAccountBandwidthRate", 1),
    ("getAllowCreationOfContracts", 1),
    ("getRemoveThePowerOfTheGr", -1),
    ("getEnergyFee", ENERGY_FEE),
    ("getExchangeCreateFee", 1_024 * TRX),
    ("getMaxCpuTimeOfOneTx", 80),
    ("getAllowUpdateAccountName", 0),
    ("getAllowSameTokenName", 1),
    ("getAllowDelegateResource", 1),
    ("getTotalEnergyLimit", 180_000_000_000),
    ("getAllowTvmTransferTrc10", 1),
    ("getTotalEnergyCurrentLimit", 180_000_000_000),
    ("getAllowMultiSign", 1),
    ("getAllowAdaptiveEnergy", 0),
    ("getUpdateAccountPermissionFee", PERMISSION_UPDATE_FEE),
    ("getMultiSignFee", MULTI_SIGN_FEE),
    ("getAllowTvmConstantinople", 1),
    ("getFreeNetLimit", FREE_NET_LIMIT),
    ("getTotalNetLimit", 43_200_000_000),
    ("getMemoFee", MEMO_FEE),
    ("getMaxFeeLimit", MAX_FEE_LIMIT),
    ("getUnfreezeDelayDays", 14),
    ("getAllowDynamicEnergy", 0),
)
"""Mainnet's voted values; dynamic energy is off, so that a transfer costs the same every time."""
