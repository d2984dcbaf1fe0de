"""Which function answers which path of the node's HTTP API."""

from collections.abc import Callable, Mapping
from typing import Final

from devnet.rpc import accounts, broadcasting, building, chain, contracts, reading
from devnet.rpc.call import Answer, Request

Handler = Callable[[Request], Answer]

BOTH_VIEWS: Final[dict[str, Handler]] = {
    "gettransactionbyid": reading.transaction_by_id,
    "gettransactioninfobyid": reading.transaction_info,
    "gettransactioninfobyblocknum": reading.infos_of_block,
    "getnowblock": reading.now_block,
    "getblock": reading.any_block,
    "getblockbynum": reading.block_by_number,
    "getblockbyid": reading.block_by_id,
    "getblockbylimitnext": reading.blocks_by_range,
    "getblockbylatestnum": reading.latest_blocks,
    "getaccount": accounts.account,
    "triggerconstantcontract": contracts.trigger_constant,
    "estimateenergy": contracts.estimate_energy,
    "getnodeinfo": chain.node_info,
}
"""What is answered under /wallet and, from the solid view, under /walletsolidity."""

WHOLE_VIEW: Final[dict[str, Handler]] = {
    "broadcasttransaction": broadcasting.broadcast_transaction,
    "broadcasthex": broadcasting.broadcast_hex,
    "getaccountresource": accounts.account_resource,
    "getaccountnet": accounts.account_net,
    "triggersmartcontract": contracts.trigger_contract,
    "createtransaction": building.create_transaction,
    "getchainparameters": chain.chain_parameters,
    "getcontract": contracts.contract,
    "getcontractinfo": contracts.contract_info,
    "getsignweight": broadcasting.sign_weight,
    "getapprovedlist": broadcasting.approved_list,
    "gettransactionfrompending": broadcasting.pending_transaction,
    "gettransactionlistfrompending": broadcasting.pending_list,
    "getpendingsize": broadcasting.pending_size,
    "validateaddress": accounts.validate_address,
    "accountpermissionupdate": building.update_permissions,
    "getenergyprices": chain.prices,
}
"""What is answered under /wallet only."""

HANDLERS: Final[Mapping[str, Handler]] = {
    **{f"/wallet/{name}": handler for name, handler in (BOTH_VIEWS | WHOLE_VIEW).items()},
    **{f"/walletsolidity/{name}": handler for name, handler in BOTH_VIEWS.items()},
}

POST_ONLY: Final = frozenset(
    f"/wallet/{name}"
    for name in (
        "broadcasttransaction",
        "broadcasthex",
        "triggersmartcontract",
        "triggerconstantcontract",
        "estimateenergy",
        "createtransaction",
        "getsignweight",
        "getapprovedlist",
        "accountpermissionupdate",
    )
) | {"/walletsolidity/triggerconstantcontract", "/walletsolidity/estimateenergy"}
