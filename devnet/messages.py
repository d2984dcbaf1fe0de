"""The protobuf messages that the devnet understands, and their JSON as a node writes and reads it.

`tronpy.proto` brings the transaction and its commonest contracts; the permission messages of
`Tron.proto` are declared here, because no installed package has them.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from tronpy.proto import tron_pb2

from adapters.tron.protocol import address_to_hex, hex_to_address

M = TypeVar("M", bound=Message)

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "devnet.permission"
_TYPE_URL: Final = "type.googleapis.com/protocol."

_PERMISSION_PROTO: Final[Mapping[str, tuple[tuple[int, str, str], ...]]] = {
    "Key": ((1, "address", "bytes"), (2, "weight", "int64")),
    "Permission": (
        (1, "type", "PermissionType"),
        (2, "id", "int32"),
        (3, "permission_name", "string"),
        (4, "threshold", "int64"),
        (5, "parent_id", "int32"),
        (6, "operations", "bytes"),
        (7, "keys", "Key*"),
    ),
    "AccountPermissionUpdateContract": (
        (1, "owner_address", "bytes"),
        (2, "owner", "Permission"),
        (3, "witness", "Permission"),
        (4, "actives", "Permission*"),
    ),
}
"""`Tron.proto`'s messages: field number, name, type (with * where repeated)."""

_SCALARS: Final = {
    "bytes": _Field.TYPE_BYTES,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
}

_ADDRESS_FIELDS: Final = frozenset({"owner_address", "to_address", "contract_address", "address"})


def _declare_permission_messages() -> dict[str, type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(
        name="devnet/permission.proto", package=_PACKAGE, syntax="proto3"
    )
    kinds = file.enum_type.add(name="PermissionType")
    for number, name in enumerate(("Owner", "Witness", "Active")):
        kinds.value.add(name=name, number=number)
    for message_name, rows in _PERMISSION_PROTO.items():
        message = file.message_type.add(name=message_name)
        for number, name, kind in rows:
            base = kind.rstrip("*")
            label = _Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL
            field = message.field.add(name=name, number=number, label=label)
            if base in _SCALARS:
                field.type = _SCALARS[base]
            else:
                is_enum = base == "PermissionType"
                field.type = _Field.TYPE_ENUM if is_enum else _Field.TYPE_MESSAGE
                field.type_name = f".{_PACKAGE}.{base}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _PERMISSION_PROTO
    }


CONTRACTS: Final[Mapping[str, type[Message]]] = {
    "TransferContract": tron_pb2.TransferContract,
    "TriggerSmartContract": tron_pb2.TriggerSmartContract,
    "AccountPermissionUpdateContract": _declare_permission_messages()[
        "AccountPermissionUpdateContract"
    ],
}
"""The contract types that the devnet executes, by their name in `ContractType`."""

ContractType = tron_pb2.Transaction.Contract.ContractType


def unpack(contract: Any) -> Message | None:
    """The message in a `Transaction.Contract`, or None where it is of a type that the devnet does
    not execute or can't be parsed.
    """
    try:
        cls = CONTRACTS[ContractType.Name(contract.type)]
        return cls.FromString(contract.parameter.value)
    except (KeyError, ValueError, DecodeError):
        return None


def pack(name: str, message: Message, permission_id: int = 0) -> Any:
    """A `Transaction.Contract` around a contract message."""
    return tron_pb2.Transaction.Contract(
        type=ContractType.Value(name),
        parameter=AnyMessage(type_url=_TYPE_URL + name, value=message.SerializeToString()),
        Permission_id=permission_id,
    )


def to_json(message: Message, visible: bool = False) -> dict[str, Any]:
    """A message as a node writes it: field names as in the proto, zero and empty ones left out,
    enums by name, bytes in lower-case hex, addresses in base58 when `visible`.
    """
    answer: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.is_repeated:
            answer[field.name] = [_value_to_json(field, item, visible) for item in value]
        elif _is_any(field):
            inner = unpack(message)
            content = to_json(inner, visible) if inner is not None else {}
            answer[field.name] = {"value": content, "type_url": value.type_url}
        else:
            answer[field.name] = _value_to_json(field, value, visible)
    return answer


def from_json(cls: type[M], value: Mapping[str, Any], visible: bool = False) -> M:
    """A message from JSON as a node reads it: unknown fields are ignored.

    Raises ValueError, TypeError or KeyError for a value that does not fit its field.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"a {cls.DESCRIPTOR.name} is an object")
    message: Any = cls()
    for field in cls.DESCRIPTOR.fields:
        content = value.get(field.name)
        if content is None:
            continue
        if _is_any(field):
            inner = from_json(CONTRACTS[value["type"]], content["value"], visible)
            packed = AnyMessage(type_url=content["type_url"], value=inner.SerializeToString())
            message.parameter.CopyFrom(packed)
        elif field.is_repeated:
            items = [_value_from_json(field, item, visible) for item in content]
            getattr(message, field.name).extend(items)
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(_value_from_json(field, content, visible))
        else:
            setattr(message, field.name, _value_from_json(field, content, visible))
    answer: M = message
    return answer


def raw_data_from_json(raw: Mapping[str, Any], visible: bool = False) -> Any:
    """`Transaction.raw` from JSON. As a node does it, a contract of an unknown type or with a value
    that can't be parsed is silently left out.
    """
    rest = {name: value for name, value in raw.items() if name != "contract"}
    message = from_json(tron_pb2.Transaction.raw, rest, visible)
    for entry in raw.get("contract", []):
        try:
            message.contract.append(from_json(tron_pb2.Transaction.Contract, entry, visible))
        except (ValueError, TypeError, KeyError):
            continue
    return message


def _is_any(field: Any) -> bool:
    kind = field.message_type
    return kind is not None and kind.full_name == "google.protobuf.Any"


def _value_to_json(field: Any, value: Any, visible: bool) -> Any:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return to_json(value, visible)
    if field.type == FieldDescriptor.TYPE_ENUM:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    if field.type == FieldDescriptor.TYPE_BYTES:
        text = bytes(value).hex()
        is_address = visible and field.name in _ADDRESS_FIELDS and len(text) == 42
        return hex_to_address(text) if is_address else text
    return value


def _value_from_json(field: Any, value: Any, visible: bool) -> Any:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        cls = message_factory.GetMessageClass(field.message_type)
        return from_json(cls, value, visible)
    if field.type == FieldDescriptor.TYPE_ENUM and isinstance(value, str):
        return field.enum_type.values_by_name[value].number
    if field.type == FieldDescriptor.TYPE_BYTES:
        is_address = visible and field.name in _ADDRESS_FIELDS
        return bytes.fromhex(address_to_hex(value) if is_address else value)
    if field.type == FieldDescriptor.TYPE_STRING:
        return str(value)
    return int(value)
