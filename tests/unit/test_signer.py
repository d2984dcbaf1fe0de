import base64
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.signer.keyfile import KeyFileError, seal, unseal, write_key_file
from adapters.signer.keys import address_of_private_key, recover
from adapters.signer.local import LocalSigner, SignerError, load_signer

VECTORS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "tron_transactions.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
KEY = bytes.fromhex(VECTORS[0]["private_key"])
ADDRESS = VECTORS[0]["from"]
OTHER_KEY = bytes.fromhex(VECTORS[1]["private_key"])
OTHER_ADDRESS = VECTORS[1]["from"]
SECRET = "11" * 32
PASSPHRASE = "correct horse battery staple"
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["tx_id"][:8])
async def test_reproduces_the_signatures_of_tronweb(vector):
    signer = LocalSigner(bytes.fromhex(vector["private_key"]))
    digest = bytes.fromhex(vector["tx_id"])
    signature = await signer.sign(digest)
    assert signer.address == vector["from"]
    assert signature[:64].hex() == vector["signature"][:128]
    assert signature[64] == int(vector["signature"][128:], 16) - 27
    assert recover(digest, signature) == vector["from"]


@given(st.integers(1, ORDER - 1), st.binary(min_size=32, max_size=32))
async def test_what_is_signed_is_recovered_with_a_low_s(number, digest):
    signer = LocalSigner(number.to_bytes(32, "big"))
    signature = await signer.sign(digest)
    assert signature == await signer.sign(digest)
    assert int.from_bytes(signature[32:64], "big") <= ORDER // 2
    assert signature[64] in (0, 1)
    assert recover(digest, signature) == signer.address


@pytest.mark.parametrize("key", [b"", bytes(32), ORDER.to_bytes(32, "big"), bytes(31), b"\1" * 33])
def test_refuses_what_is_no_private_key(key):
    with pytest.raises(ValueError, match=r".+"):
        LocalSigner(key)


async def test_refuses_what_is_no_digest():
    with pytest.raises(ValueError, match="32 bytes"):
        await LocalSigner(KEY).sign(b"short")


@given(st.binary(max_size=80))
def test_a_signature_that_fits_no_key_is_a_value_error(signature):
    try:
        address = recover(bytes(32), signature)
    except ValueError:
        return
    assert address.startswith("T")


def test_the_signer_does_not_show_its_key():
    assert VECTORS[0]["private_key"] not in repr(vars(LocalSigner(KEY)))


@pytest.mark.parametrize(
    "secret",
    [
        SECRET,
        SECRET.upper(),
        base64.b64encode(b"\xfb" * 32).decode(),
        base64.urlsafe_b64encode(b"\xfb" * 32).decode(),
        PASSPHRASE,
        "pässphrase ünïcode",
    ],
)
def test_a_sealed_key_opens_with_its_secret_only(secret):
    sealed = seal(KEY, secret)
    assert unseal(sealed, secret) == KEY
    assert KEY not in sealed
    assert KEY.hex().encode() not in sealed
    with pytest.raises(KeyFileError, match="WALLET_ENCRYPTION_KEY is not the one"):
        unseal(sealed, "22" * 32)


def test_32_bytes_are_used_as_they_are_and_a_passphrase_goes_through_scrypt():
    assert json.loads(seal(KEY, SECRET))["kdf"] == {"name": "none"}
    file = json.loads(seal(KEY, PASSPHRASE))
    assert file["kdf"] == {"name": "scrypt", "n": 1 << 17, "r": 8, "p": 1}
    assert file["address"] == ADDRESS
    spelled_in_base64 = base64.b64encode(bytes.fromhex(SECRET)).decode()
    assert unseal(seal(KEY, SECRET), spelled_in_base64) == KEY


def test_a_key_sealed_with_bytes_asks_for_bytes():
    with pytest.raises(KeyFileError, match="32 bytes as hex or base64"):
        unseal(seal(KEY, SECRET), PASSPHRASE)


def test_no_two_files_are_alike():
    assert seal(KEY, SECRET) != seal(KEY, SECRET)


def changed(**changes: object) -> bytes:
    return json.dumps(json.loads(seal(KEY, SECRET)) | changes).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\xff\xfe",
        changed(version=2),
        changed(cipher="AES-128-ECB"),
        changed(nonce="00"),
        changed(nonce="zz" * 12),
        changed(extra=1),
        changed(kdf={"name": "md5"}),
        changed(kdf={"name": "scrypt", "n": 1 << 30, "r": 8, "p": 1}),
        changed(kdf={"name": "scrypt", "n": 1 << 20, "r": 32, "p": 1}),
        changed(kdf={"name": "scrypt", "n": (1 << 17) + 1, "r": 8, "p": 1}),
        changed(kdf={"name": "scrypt", "n": 2, "r": 8, "p": 1}),
        changed(kdf={"name": "scrypt", "n": 1 << 17, "r": 8, "p": 1 << 20}),
    ],
)
def test_what_is_no_key_file_is_refused_before_any_work(data):
    with pytest.raises(KeyFileError, match="is not a key file of version 1"):
        unseal(data, SECRET)


@pytest.mark.parametrize("field", ["address", "nonce", "ciphertext"])
def test_whatever_is_altered_shows(field):
    file = json.loads(seal(KEY, SECRET))
    old = file[field]
    new = OTHER_ADDRESS if field == "address" else f"{int(old[:2], 16) ^ 1:02x}{old[2:]}"
    with pytest.raises(KeyFileError, match="damaged"):
        unseal(changed(**{field: new}), SECRET)


def test_a_file_that_holds_another_key_than_it_names_is_refused(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("adapters.signer.keyfile.address_of_private_key", lambda key: OTHER_ADDRESS)
        lying = seal(KEY, SECRET)
    with pytest.raises(KeyFileError, match=f"holds the key of {ADDRESS}"):
        unseal(lying, SECRET)


def test_a_key_file_is_private_named_after_its_wallet_and_never_overwritten(tmp_path):
    path = write_key_file(KEY, SECRET, tmp_path / "keys")
    before = path.read_bytes()
    assert path.name == f"{ADDRESS}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with pytest.raises(KeyFileError, match="never overwritten"):
        write_key_file(KEY, "33" * 32, path.parent)
    assert path.read_bytes() == before
    assert unseal(before, SECRET) == KEY


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyFileError, match=str(tmp_path / "file")):
        write_key_file(KEY, SECRET, tmp_path / "file" / "keys")


def test_the_given_key_goes_before_the_files(tmp_path):
    write_key_file(OTHER_KEY, SECRET, tmp_path)
    assert load_signer(KEY.hex(), tmp_path, SECRET, None).address == ADDRESS


def test_the_only_key_file_is_taken(tmp_path):
    write_key_file(KEY, SECRET, tmp_path)
    assert load_signer(None, tmp_path, SECRET, None).address == ADDRESS
    assert load_signer(None, tmp_path, SECRET, ADDRESS).address == ADDRESS


def test_among_several_files_the_address_chooses(tmp_path):
    write_key_file(KEY, SECRET, tmp_path)
    write_key_file(OTHER_KEY, SECRET, tmp_path)
    assert load_signer(None, tmp_path, SECRET, OTHER_ADDRESS).address == OTHER_ADDRESS
    with pytest.raises(SignerError, match="set TRON_ADDRESS to one of") as refusal:
        load_signer(None, tmp_path, SECRET, None)
    assert ADDRESS in str(refusal.value)
    assert OTHER_ADDRESS in str(refusal.value)


@pytest.mark.parametrize(
    ("private_key", "secret", "expected", "refused", "message"),
    [
        (None, SECRET, OTHER_ADDRESS, (), "No such file"),
        (None, "22" * 32, ADDRESS, (), "WALLET_ENCRYPTION_KEY is not the one"),
        (KEY.hex(), SECRET, OTHER_ADDRESS, (), f"that of {ADDRESS}, not of {OTHER_ADDRESS}"),
        ("00" * 32, SECRET, None, (), "TRON_PRIVATE_KEY is not a private key"),
        ("xy", SECRET, None, (), "TRON_PRIVATE_KEY is not a private key"),
        (KEY.hex(), SECRET, None, (ADDRESS,), "is public"),
        (None, SECRET, ADDRESS, (ADDRESS,), "is public"),
    ],
)
def test_a_wrong_key_or_password_is_refused_without_showing_it(
    tmp_path, private_key, secret, expected, refused, message
):
    write_key_file(KEY, SECRET, tmp_path)
    with pytest.raises(SignerError, match=message) as refusal:
        load_signer(private_key, tmp_path, secret, expected, frozenset(refused))
    assert KEY.hex() not in str(refusal.value)
    assert secret not in str(refusal.value)


def test_a_file_that_lies_about_its_name_is_refused(tmp_path):
    path = write_key_file(KEY, SECRET, tmp_path)
    path.rename(tmp_path / f"{OTHER_ADDRESS}.json")
    with pytest.raises(SignerError, match="TRON_ADDRESS"):
        load_signer(None, tmp_path, SECRET, OTHER_ADDRESS)


@pytest.mark.parametrize("keys_dir", ["empty", "missing"])
def test_without_any_key_it_says_how_to_get_one(tmp_path, keys_dir):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SignerError, match="seal-key"):
        load_signer(None, tmp_path / keys_dir, SECRET, None)


def test_the_address_of_a_key_is_the_one_that_tronweb_gives():
    assert address_of_private_key(KEY) == ADDRESS
