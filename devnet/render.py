"""Blocks, transactions, accounts and results as a node writes them in JSON.

Zero and empty fields are left out, text fields are hex unless `visible`, and the address of a log
has 20 bytes (`JsonFormat.java`, `TransactionUtil.java`).
"""

from typing import Any, Final

from adapters.tron.protocol import hex_to_address
from devnet.block import Block, Included
from devnet.execution import Receipt
from devnet.settings import CHAIN_PARAMETERS, FREE_NET_LIMIT
from devnet.state import Account
from devnet.token import ABI, Log
from devnet.transaction import Transaction

TOTAL_NET_LIMIT: Final = 43_200_000_000
TOTAL_ENERGY_LIMIT: Final = 180_000_000_000
TOTAL_NET_WEIGHT: Final = 26_900_000_000
TOTAL_ENERGY_WEIGHT: Final = 19_100_000_000
VERSION: Final = "4.8.0"


def present(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that a node would write: those that are neither zero nor empty."""
    return {name: value for name, value in fields.items() if value not in (0, "", None, [], {})}


def address_text(address: bytes, visible: bool) -> str:
    """An address as base58 when visible, else in hex."""
    return hex_to_address(address.hex()) if visible else address.hex()


def transaction(tx: Transaction, receipt: Receipt | None, visible: bool) -> dict[str, Any]:
    """A transaction, with its result where it has one."""
    content = tx.to_json(visible)
    if not visible:
        del content["visible"]
    if receipt is None:
        return content
    return {"ret": [{"contractRet": receipt.contract_ret}], **content}


def block(found: Block, visible: bool, detail: bool = True) -> dict[str, Any]:
    """A block, with its transactions where there are any and `detail` asks for them."""
    header = found.header()
    if visible and found.witness_address:
        header["witness_address"] = hex_to_address(found.witness_address.hex())
    content: dict[str, Any] = {
        "blockID": found.id.hex(),
        "block_header": present(
            {"raw_data": header, "witness_signature": found.signature.hex()},
        ),
    }
    if detail and found.items:
        content["transactions"] = [
            transaction(item.tx, item.receipt, visible) for item in found.items
        ]
    return content


def info(found: Block, item: Included, visible: bool) -> dict[str, Any]:
    """The info of an included transaction."""
    receipt = item.receipt
    failed = receipt.contract_ret != "SUCCESS"
    message = receipt.message.encode().hex() if not visible else receipt.message
    contract = address_text(receipt.contract, visible) if receipt.contract else ""
    content = present(
        {
            "id": item.tx.txid,
            "fee": receipt.fee,
            "blockNumber": found.number,
            "blockTimeStamp": found.timestamp,
            "contractResult": [receipt.returned.hex()],
            "contract_address": contract,
            "log": [log(entry, visible) for entry in receipt.logs],
            "result": "FAILED" if failed else "",
            "resMessage": message,
        }
    )
    return content | {"receipt": _receipt(receipt)}


def _receipt(receipt: Receipt) -> dict[str, Any]:
    return present(
        {
            "energy_usage": receipt.energy_usage,
            "energy_fee": receipt.energy_fee,
            "energy_usage_total": receipt.energy_total,
            "net_usage": receipt.net_usage,
            "net_fee": receipt.net_fee,
            "result": receipt.contract_ret if receipt.contract else "",
        }
    )


def log(entry: Log, visible: bool = False) -> dict[str, Any]:
    """An event of a contract."""
    return {
        "address": hex_to_address(entry.address.hex()) if visible else entry.address[1:].hex(),
        "topics": [topic.hex() for topic in entry.topics],
        "data": entry.data.hex(),
    }


def account(address: bytes, found: Account, now: int, visible: bool) -> dict[str, Any]:
    """An activated account."""
    actives = [active.to_json(visible) for active in found.active_permissions(address)]
    return present(
        {
            "address": address_text(address, visible),
            "balance": found.balance,
            "create_time": found.created,
            "latest_consume_free_time": found.free_net.at,
            "free_net_usage": found.free_net.now(now),
            "net_usage": found.net.now(now),
            "account_resource": present({"energy_usage": found.energy.now(now)}),
            "owner_permission": found.owner_permission(address).to_json(visible),
            "active_permission": actives,
            "frozenV2": [{}, {"type": "ENERGY"}, {"type": "TRON_POWER"}],
        }
    )


def account_net(found: Account, now: int) -> dict[str, Any]:
    """An account's bandwidth, in bytes."""
    return present(
        {
            "freeNetUsed": found.free_net.now(now),
            "freeNetLimit": FREE_NET_LIMIT,
            "NetUsed": found.net.now(now),
            "NetLimit": found.net_limit,
            "TotalNetLimit": TOTAL_NET_LIMIT,
            "TotalNetWeight": TOTAL_NET_WEIGHT,
        }
    )


def account_resource(found: Account, now: int) -> dict[str, Any]:
    """An account's bandwidth and energy."""
    energy = {
        "EnergyUsed": found.energy.now(now),
        "EnergyLimit": found.energy_limit,
        "TotalEnergyLimit": TOTAL_ENERGY_LIMIT,
        "TotalEnergyWeight": TOTAL_ENERGY_WEIGHT,
    }
    return account_net(found, now) | present(energy)


def contract(token: bytes, origin: bytes, visible: bool) -> dict[str, Any]:
    """The token contract."""
    return {
        "bytecode": "608060405234801561001057600080fd5b50",
        "consume_user_resource_percent": 100,
        "name": "TetherToken",
        "origin_address": address_text(origin, visible),
        "abi": ABI,
        "origin_energy_limit": 10_000_000,
        "contract_address": address_text(token, visible),
        "code_hash": "00" * 32,
    }


def chain_parameters() -> dict[str, Any]:
    """The voted parameters; the value of one that is zero is left out."""
    rows = [present({"key": name, "value": value}) for name, value in CHAIN_PARAMETERS]
    return {"chainParameter": rows}


def node_info(head: Block, solid: Block, peers: int) -> dict[str, Any]:
    """A node's description of itself."""
    return {
        "beginSyncNum": head.number,
        "block": f"Num:{head.number},ID:{head.id.hex()}",
        "solidityBlock": f"Num:{solid.number},ID:{solid.id.hex()}",
        "currentConnectCount": peers,
        "activeConnectCount": peers,
        "passiveConnectCount": 0,
        "totalFlow": 0,
        "peerInfoList": [],
        "configNodeInfo": {
            "codeVersion": VERSION,
            "p2pVersion": "11111",
            "supportConstant": True,
            "minParticipationRate": 0,
        },
        "machineInfo": {},
        "cheatWitnessInfoMap": {},
    }
