"""Encoding against transactions that TronWeb made from known keys."""

import hashlib
import json
from pathlib import Path

import pytest

from adapters.signer.local import LocalSigner
from adapters.tron.codec import ProtobufCodec
from models.chain import Transfer
from models.transaction import txid_of
from ports.chain import Draft

DATA = Path(__file__).parents[1] / "data"
VECTORS = [json.loads(line) for line in (DATA / "tron_transactions.jsonl").read_text().splitlines()]


def draft_of(vector: dict) -> Draft:
    return Draft(
        transfer=Transfer(
            contract=vector["contract"],
            owner=vector["from"],
            recipient=vector["to"],
            amount=int(vector["amount"]),
        ),
        ref_block=bytes.fromhex(vector["ref_block_bytes"] + vector["ref_block_hash"]),
        expiration_ms=vector["expiration"],
        timestamp_ms=vector["timestamp"],
        fee_limit_sun=vector["fee_limit"] or 0,
        permission_id=vector["permission_id"] or 0,
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["tx_id"][:8])
async def test_tronweb_vectors(vector: dict) -> None:
    codec = ProtobufCodec()
    draft = draft_of(vector)
    raw = codec.build(draft)
    assert raw.hex() == vector["raw_data_hex"]
    assert txid_of(raw) == vector["tx_id"]
    assert codec.read(raw) == draft

    signer = LocalSigner(bytes.fromhex(vector["private_key"]))
    assert signer.address == vector["from"]
    digest = hashlib.sha256(raw).digest()
    signature = await signer.sign(digest)
    assert signature[:64].hex() == vector["signature"][:128].lower()
    assert codec.recover(digest, signature) == vector["from"]


@pytest.mark.parametrize(
    "tamper",
    [
        lambda raw: raw + bytes.fromhex("520548656c6c6f"),  # a memo
        lambda raw: raw[:-1],
        lambda raw: b"",
        lambda raw: raw + raw[raw.index(b"Z") :],
    ],
    ids=["memo", "cut", "empty", "second contract"],
)
def test_bytes_that_say_anything_else_are_refused(tamper) -> None:
    raw = bytes.fromhex(VECTORS[0]["raw_data_hex"])
    with pytest.raises(ValueError):  # noqa: PT011  any refusal will do
        ProtobufCodec().read(tamper(raw))
