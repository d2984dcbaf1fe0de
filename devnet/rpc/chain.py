"""The node and the chain as a whole."""

from devnet import render
from devnet.rpc.call import Answer, Request
from devnet.settings import ENERGY_FEE


def chain_parameters(_: Request) -> Answer:
    """The voted parameters."""
    return render.chain_parameters()


def node_info(request: Request) -> Answer:
    """The node's heads, version and peers."""
    whole, solid = request.node.view(False), request.node.view(True)
    return render.node_info(whole.newest, solid.newest, peers=27)


def prices(request: Request) -> Answer:
    """The history of the energy price: one value since the beginning."""
    return {"prices": f"0:{ENERGY_FEE}"}
