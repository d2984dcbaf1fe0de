"""One request to a node, and how its parameters are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tronpy.proto import tron_pb2

from adapters.tron.protocol import address_to_hex
from devnet import messages
from devnet.node import Node, View
from devnet.transaction import Transaction

Answer = dict[str, Any] | list[Any]


class NodeError(Exception):
    """A failure that a node answers as `{"Error": "class <Java class> : <text>"}`."""

    def __init__(self, java_class: str, text: str) -> None:
        """Name the Java class whose exception a node would show."""
        super().__init__(f"class {java_class} : {text}")


@dataclass(frozen=True, slots=True)
class Request:
    """One request: the endpoint, its parameters, the view it is asked of."""

    node: Node
    path: str
    solid: bool
    params: Mapping[str, Any]

    @property
    def visible(self) -> bool:
        """Whether addresses come and go in base58."""
        return self.flag("visible", False)

    @property
    def view(self) -> View:
        """The blocks and the state to answer from."""
        return self.node.view(self.solid)

    def flag(self, name: str, default: bool) -> bool:
        """A truth value, as JSON or as text of a query."""
        return str(self.params.get(name, default)).lower() == "true"

    def number(self, name: str, default: int = 0) -> int:
        """An integer, as JSON or as text of a query."""
        return int(self.params.get(name, default))

    def text(self, name: str) -> str:
        """A text; empty where it is missing."""
        return str(self.params.get(name, ""))

    def data(self, name: str) -> bytes:
        """Bytes in hex; empty where they are missing."""
        return bytes.fromhex(self.text(name))

    def address(self, name: str) -> bytes:
        """An address: base58 where `visible`, else hex."""
        text = self.text(name)
        return bytes.fromhex(address_to_hex(text) if self.visible else text)


def transaction_of(params: Mapping[str, Any]) -> Transaction:
    visible = str(params.get("visible", False)).lower() == "true"
    content = params["raw_data"]
    if not isinstance(content, Mapping):
        raise TypeError("raw_data is an object")
    raw_data = messages.raw_data_from_json(content, visible)
    signatures = [bytes.fromhex(text) for text in params.get("signature", [])]
    return Transaction.of(tron_pb2.Transaction(raw_data=raw_data, signature=signatures))


def sent_transaction(path: str, params: Mapping[str, Any]) -> Transaction:
    """The transaction in the body of a broadcast.

    Raises KeyError, ValueError or DecodeError for a body that holds none.
    """
    if path.endswith("/broadcasthex"):
        return Transaction.parse(bytes.fromhex(str(params.get("transaction", ""))))
    return transaction_of(params)
