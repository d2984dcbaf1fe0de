"""Accounts and addresses."""

from adapters.tron.protocol import address_to_hex
from devnet import render
from devnet.execution import is_address
from devnet.rpc.call import Answer, Request
from devnet.state import account_of


def account(request: Request) -> Answer:
    """An account, as pending transactions leave it."""
    address, view = request.address("address"), request.view
    found = account_of(view.state, address)
    now = view.newest.timestamp
    return {} if found is None else render.account(address, found, now, request.visible)


def account_resource(request: Request) -> Answer:
    """An account's bandwidth and energy."""
    view = request.view
    found = account_of(view.state, request.address("address"))
    return {} if found is None else render.account_resource(found, view.newest.timestamp)


def account_net(request: Request) -> Answer:
    """An account's bandwidth."""
    view = request.view
    found = account_of(view.state, request.address("address"))
    return {} if found is None else render.account_net(found, view.newest.timestamp)


def validate_address(request: Request) -> Answer:
    """Whether a text is an address, in base58 or hex."""
    text = request.text("address")
    try:
        raw = bytes.fromhex(text if len(text) == 42 else address_to_hex(text))
    except ValueError as error:
        return {"result": False, "message": f"Invalid address: {error}"}
    if not is_address(raw):
        return {"result": False, "message": "Invalid address prefix"}
    return {
        "result": True,
        "message": "Hex string format" if len(text) == 42 else "Base58check format",
    }
