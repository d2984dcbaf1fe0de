"""The devnet as tests and simulations use it: a network, and its endpoints without sockets."""

from devnet.http import EndpointApp
from devnet.network import Network
from devnet.transport import DevnetTransport


class Devnet(Network):
    """A simulated TRON network in this process."""

    def app(self, node: int = 0) -> EndpointApp:
        """The ASGI application of an endpoint."""
        return EndpointApp(self, self.nodes[node])

    def transport(self, node: int = 0) -> DevnetTransport:
        """An httpx transport to an endpoint, in which broken connections look as on a socket."""
        return DevnetTransport(self.app(node))
