"""The nodes as a replica sees them: the devnet's own answers, without HTTP and without JSON text.

Everything above the connection is the real thing: the adapter's queries, the verification of
blocks and infos, fail-over, and the breaker of each endpoint.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import DecodeError

from adapters.tron.client import ChainSettings, TronChain
from adapters.tron.endpoint import EndpointError
from devnet.network import Network
from devnet.node import Node
from devnet.rpc.call import NodeError, Request, sent_transaction
from devnet.rpc.table import HANDLERS
from devnet.transaction import Transaction
from tests.simulation.faults import NODE
from tests.simulation.liar import BROADCAST, Lies
from tests.simulation.ports import Host, port
from utils.circuit_breaker import BreakerPolicy, CircuitBreaker, CircuitOpenError
from utils.retry import RetryPolicy

BREAKER = BreakerPolicy(failure_threshold=5, recovery_seconds=6, success_threshold=1)
RETRIES = RetryPolicy(tries=2, base_seconds=0.1, max_seconds=1, jitter=0)
"""No jitter: its randomness would not be the seed's."""

SILENT_AFTER = 120.0
"""Longer than any storm: a node that is down for a while keeps its say."""


class Line:
    """The connection to one node."""

    def __init__(
        self,
        node: Node,
        sent: Callable[[Transaction], None],
        is_down: Callable[[int], bool],
        lies: Mapping[int, Lies],
    ) -> None:
        """`sent` is told of every transaction that reaches the node; `is_down` says whether the
        connection is refused, `lies` which nodes serve a chain of their own."""
        self._node = node
        self._sent = sent
        self._is_down = is_down
        self._lies = lies

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The node's answer. Raises EndpointError where a node would show an error."""
        if self._is_down(self._node.number):
            raise EndpointError("UNREACHABLE", "the node is down")
        liar = self._lies.get(self._node.number)
        try:
            lie = None if liar is None else liar.answer(path, body)
            return self._truth(path, body) if lie is None else lie
        except (NodeError, KeyError, ValueError, TypeError, DecodeError) as error:
            raise EndpointError("BAD_ANSWER", f"{path}: {error}") from error

    def _truth(self, path: str, body: Mapping[str, Any]) -> Any:
        if path == BROADCAST:
            self._sent(sent_transaction(path, body))
        solid = path.startswith("/walletsolidity/")
        return HANDLERS[path](Request(self._node, path, solid, body))


class LineEndpoint:
    """What adapters.tron.endpoint.Endpoint is to the adapter, over a line."""

    def __init__(self, name: str, line: Any) -> None:
        self.name = name
        self.problem = ""
        self.look_again_at = 0.0
        self.genesis_id: str | None = None
        self.breaker = CircuitBreaker(name, BREAKER, monotonic=asyncio.get_running_loop().time)
        self._line = line

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The answer to a POST. Raises EndpointError."""
        try:
            return await self.breaker.call(lambda: self._line.post(path, body))
        except CircuitOpenError as error:
            raise EndpointError("UNREACHABLE", str(error)) from error


def chain_of(
    host: Host,
    net: Network,
    usdt_contract: str,
    sent: Callable[[Transaction], None],
    is_down: Callable[[int], bool],
    lies: Mapping[int, Lies],
    stall_seconds: float,
) -> TronChain:
    """The real adapter over lines to all nodes."""
    endpoints: list[Any] = []
    for node in net.nodes:
        line = Line(node, sent, is_down, lies)
        endpoints.append(LineEndpoint(f"node{node.number}", port(host, NODE, line)))
    settings = ChainSettings(usdt_contract, stall_seconds, SILENT_AFTER, 600, RETRIES, RETRIES)
    return TronChain(endpoints, settings)
