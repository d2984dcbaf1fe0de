"""Whatever the parsers of foreign input are handed, only the errors they declare come out."""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from adapters.signer.keyfile import KeyFileError, seal, unseal
from adapters.tron import queries
from adapters.tron.blocks import BadAnswerError
from adapters.tron.endpoint import Endpoint, EndpointError
from adapters.tron.protocol import address_to_hex
from api.body import parse_json
from api.verify import authenticate
from config import load_security_policies
from models.address import address_bytes, address_text
from models.chain import BlockRef, SolidBlock, Transfer
from models.errors import PayoutError
from settings.environment import DEFAULT_CONFIG_DIR
from settings.keys import VerifyingKey
from settings.router import RouterConfig
from settings.security import SecurityPolicies
from tests.harness import POLICIES, fresh_address
from tests.unit.tron.answers import anything, spoiled
from tests.unit.tron.stub import Stub
from utils.config_loader import Loaded, load_config

KEY = "the key that signs the tokens of the fuzz tests"
KEYS = {None: VerifyingKey(("HS256",), KEY)}
SEALING = "11" * 32
PRIVATE_KEY = bytes.fromhex("22" * 32)


# ---- tokens ----


@cache
def policies() -> SecurityPolicies:
    """Those that are shipped."""
    return load_security_policies({})


def take(token: str) -> str | None:
    """The subject of a token, None where it is refused as P001."""
    try:
        return authenticate(token, KEYS, policies()).subject
    except PayoutError as error:
        refusal = error
    assert refusal.code == "P001"
    return None


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


NOW = int(time.time())
CLAIMS = {"sub": "alice", "role": "SERVICE", "iat": NOW, "exp": NOW + 3600, "node_id": "n-1"}
HEADER = {"alg": "HS256", "typ": "JWT"}


@given(st.text(max_size=300) | st.text("abcAB01.-_=", max_size=300))
def test_any_text_is_no_token(text: str) -> None:
    assert take(text) is None


@given(spoiled(HEADER), st.binary(max_size=64))
def test_no_header_makes_an_unsigned_token_pass(header: Any, signature: bytes) -> None:
    parts = [json.dumps(header).encode(), json.dumps(CLAIMS).encode(), signature]
    assert take(".".join(map(part, parts))) is None


@given(spoiled(CLAIMS))
def test_signed_claims_of_any_shape_are_taken_or_refused(claims: Any) -> None:
    """Even who has the key can't make the reader stumble."""
    subject = take(jwt.PyJWS().encode(json.dumps(claims).encode(), KEY, "HS256"))
    if subject is not None:
        assert subject == claims["sub"]
        assert claims["exp"] >= NOW


@given(st.binary(max_size=200))
def test_a_signed_payload_of_any_bytes_is_refused(payload: bytes) -> None:
    assert take(jwt.PyJWS().encode(payload, KEY, "HS256")) is None


@given(st.integers(0, 2**32), st.data())
def test_a_token_with_one_bit_changed_is_refused(claim: int, data: st.DataObject) -> None:
    token = jwt.encode({**CLAIMS, "jti": str(claim)}, KEY, "HS256")
    raw = [base64.urlsafe_b64decode(piece + "==") for piece in token.split(".")]
    place = data.draw(st.integers(0, 2))
    spoil = bytearray(raw[place])
    spoil[data.draw(st.integers(0, len(spoil) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    raw[place] = bytes(spoil)
    assert take(token) == "alice"
    assert take(".".join(map(part, raw))) is None


# ---- addresses ----


@given(st.text(max_size=60) | st.text("T123456789ABCxyz", min_size=34, max_size=34))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        payload = address_bytes(text)
    except ValueError:
        return
    assert address_text(payload) == text


@given(st.binary(min_size=20, max_size=20), st.integers(0, 33), st.sampled_from("123ABCabcTz0OIl "))
def test_one_mistyped_character_is_found(account: bytes, place: int, character: str) -> None:
    address = address_text(b"\x41" + account)
    mistyped = address[:place] + character + address[place + 1 :]
    if mistyped != address:
        with pytest.raises(ValueError, match=r"must be|character|prefix|checksum"):
            address_bytes(mistyped)


# ---- bodies ----


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_body_is_json_or_a_decode_error(body: bytes) -> None:
    try:
        value = parse_json(body)
    except json.JSONDecodeError:
        return
    assert json.loads(body) == value


# ---- configuration ----

YAML = (DEFAULT_CONFIG_DIR / "payout-router-config.yaml").read_text(encoding="utf-8")


def load(folder: Path, data: bytes, model: type[BaseModel] = RouterConfig) -> Loaded[Any]:
    file = folder / "any.yaml"
    file.write_bytes(data)
    loaded = load_config(file, model, {"SECRET": "hidden-value"})
    assert (loaded.model is None) is bool(loaded.problems)
    return loaded


@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_configuration_or_problems(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    assert load(tmp_path_factory.getbasetemp(), data).model is None


BITS = (*"&*!|>%@`{}[],#?:-\"'\n\t \x00\x85\ud800", "${SECRET}", "${", "<<: *a", "1e999")


@given(st.lists(st.tuples(st.integers(0, len(YAML)), st.sampled_from(BITS)), max_size=4))
def test_the_shipped_file_with_bits_of_yaml_thrown_in_is_read_or_a_problem(
    tmp_path_factory: pytest.TempPathFactory, bits: list[tuple[int, str]]
) -> None:
    text = YAML
    for place, bit in bits:
        text = text[:place] + bit + text[place:]
    loaded = load(tmp_path_factory.getbasetemp(), text.encode("utf-8", "surrogatepass"))
    assert "hidden-value" not in " ".join(map(str, loaded.problems))


def test_aliases_of_aliases_do_not_fill_the_memory(tmp_path: Path) -> None:
    """A "billion laughs": each line ten times the one before."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 4)]
    assert load(tmp_path, "\n".join(lines).encode()).model is None


# ---- key files ----


@cache
def key_file() -> dict[str, Any]:
    file: dict[str, Any] = json.loads(seal(PRIVATE_KEY, SEALING))
    return file


@given(st.binary(max_size=300))
def test_any_bytes_are_no_key_file(data: bytes) -> None:
    with pytest.raises(KeyFileError):
        unseal(data, SEALING)


@given(st.data())
def test_a_spoiled_key_file_is_refused_or_opens_to_the_same_key(data: st.DataObject) -> None:
    try:
        said = unseal(json.dumps(data.draw(spoiled(key_file()))).encode(), SEALING)
    except KeyFileError as error:
        told = str(error)
    else:
        assert said == PRIVATE_KEY
        return
    assert PRIVATE_KEY.hex() not in told
    assert SEALING not in told


# ---- what nodes say ----

OWNER, TOKEN = fresh_address(), POLICIES.usdt_contract
BLOCK = SolidBlock(BlockRef(7, "00" * 32, 21_000), "00" * 32, ())
PAYMENT = Transfer(TOKEN, OWNER, fresh_address(), 1_000_000)

QUESTIONS: dict[str, tuple[Callable[[Endpoint], Awaitable[object]], Any]] = {
    "account": (
        lambda e: queries.account(e, OWNER),
        {"address": address_to_hex(OWNER), "balance": 5},
    ),
    "token balance": (
        lambda e: queries.token_balance(e, TOKEN, OWNER),
        {"result": {"result": True}, "constant_result": ["00" * 31 + "05"]},
    ),
    "simulation": (
        lambda e: queries.simulate(e, PAYMENT),
        {
            "result": {"result": True, "message": "5245"},
            "energy_used": 5,
            "transaction": {"ret": [{"ret": "FAILED"}]},
        },
    ),
    "fee rates": (
        queries.fee_rates,
        {"chainParameter": [{"key": key, "value": 1} for key in queries.RATE_KEYS]},
    ),
    "hits": (lambda e: queries.hits(e, BLOCK), [{"id": "00" * 32}]),
    "genesis": (queries.genesis, {"block_header": {"raw_data": {}}, "blockID": "00" * 32}),
}
"""Each question that is asked of a node, with an answer of the right shape."""


@pytest.mark.parametrize("question", QUESTIONS)
@given(data=st.data())
def test_any_answer_to_a_question_is_read_or_refused(question: str, data: st.DataObject) -> None:
    ask, shape = QUESTIONS[question]
    answer = data.draw(anything | spoiled(shape))

    async def outcome() -> object:
        try:
            return await ask(Stub(lambda request: answer).endpoint())
        except (EndpointError, BadAnswerError):
            return None

    asyncio.run(outcome())


@given(anything)
def test_any_answer_to_a_broadcast_is_a_short_code(answer: Any) -> None:
    code = queries.broadcast_code(answer)
    assert code.isidentifier()
    assert len(code) < 64
