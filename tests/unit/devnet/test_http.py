"""The node's HTTP API: shapes, odd rules, views, and faults as a client meets them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from adapters.tron.protocol import block_id, header_bytes, merkle_root, transaction_leaf
from devnet.crypto import sign
from devnet.devnet import Devnet
from devnet.faults import KINDS, Fault
from devnet.http import MAX_BODY
from devnet.rpc.table import HANDLERS
from devnet.settings import DevnetSettings
from tests.unit.devnet.scene import HOT, SECOND, Bench, bench, call_data, raw, wallet

FRESH = wallet("fresh").address


class Api:
    """Both endpoints of a bench through the in-process transport."""

    def __init__(self, b: Bench) -> None:
        self.b = b
        self.clients = [
            httpx.AsyncClient(transport=b.net.transport(node), base_url="http://node")
            for node in range(len(b.net.nodes))
        ]

    async def respond(self, path: str, node: int = 0, **body: Any) -> httpx.Response:
        return await self.clients[node].post(path, json=body)

    async def ask(self, path: str, node: int = 0, **body: Any) -> Any:
        response = await self.respond(path, node, **body)
        assert response.status_code == 200
        return response.json()

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.clients[0].get(path, params=query)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    made = Api(bench())
    yield made
    for client in made.clients:
        await client.aclose()


def verified(block: dict[str, Any]) -> bool:
    """Whether a served block is what its id says, as a careful client checks it."""
    header = block["block_header"]["raw_data"]
    leaves = [
        transaction_leaf(
            bytes.fromhex(tx["raw_data_hex"]),
            [bytes.fromhex(signature) for signature in tx["signature"]],
            tx["ret"],
        )
        for tx in block.get("transactions", [])
    ]
    root_fits: bool = merkle_root(leaves).hex() == header["txTrieRoot"]
    identity = block_id(header.get("number", 0), header_bytes(header)).hex()
    return root_fits and identity == str(block["blockID"])


class TestBroadcasting:
    async def test_hex(self, api: Api) -> None:
        tx = api.b.trx(SECOND.address, 5)
        answer = await api.ask("/wallet/broadcasthex", transaction=tx.wire.hex())
        assert (answer["result"], answer["code"], answer["message"]) == (True, "SUCCESS", "")
        assert json.loads(answer["transaction"])["txID"] == answer["txid"] == tx.txid
        again = await api.ask("/wallet/broadcasthex", transaction=tx.wire.hex())
        assert (again["result"], again["code"]) == (False, "DUP_TRANSACTION_ERROR")
        assert again["message"] == "Dup transaction."

    async def test_json_ignores_txid_and_raw_hex(self, api: Api) -> None:
        tx = api.b.trx(SECOND.address, 5)
        body = tx.to_json() | {"txID": "00", "raw_data_hex": "00", "whatever": 1}
        answer = await api.ask("/wallet/broadcasttransaction", **body)
        assert answer == {"result": True, "txid": tx.txid}

    async def test_a_failure_has_no_result_and_a_hex_message(self, api: Api) -> None:
        body = api.b.trx(SECOND.address, 0).to_json()
        answer = await api.ask("/wallet/broadcasttransaction", **body)
        assert "result" not in answer
        text = bytes.fromhex(answer["message"]).decode()
        assert text == "Contract validate error : Amount must be greater than 0."

    async def test_visible_is_base58_in_and_plain_text_out(self, api: Api) -> None:
        body = api.b.trx(SECOND.address, 0).to_json(visible=True)
        value = body["raw_data"]["contract"][0]["parameter"]["value"]
        assert value["owner_address"] == HOT.address
        answer = await api.ask("/wallet/broadcasttransaction", **body)
        assert answer["message"].startswith("Contract validate error : ")

    async def test_a_contract_of_an_unknown_type_is_dropped(self, api: Api) -> None:
        body = api.b.trx(SECOND.address, 1).to_json()
        body["raw_data"]["contract"][0]["type"] = "MintMoneyContract"
        answer = await api.ask("/wallet/broadcasttransaction", **body)
        assert bytes.fromhex(answer["message"]).endswith(b"No contract!")

    async def test_get_is_not_allowed(self, api: Api) -> None:
        for name in ("broadcasthex", "broadcasttransaction"):
            assert (await api.get(f"/wallet/{name}")).status_code == 405

    @pytest.mark.parametrize("path", ["/wallet/broadcasthex", "/wallet/broadcasttransaction"])
    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b'{"transaction":"zz"}', b'{"transaction":"ffff"}', b"{}"]
    )
    async def test_nonsense_is_an_error_under_200(self, api: Api, path: str, body: bytes) -> None:
        response = await api.clients[0].post(path, content=body)
        assert response.status_code == 200
        answer = response.json()
        assert "Error" in answer or answer["code"] == "CONTRACT_VALIDATE_ERROR"

    async def test_too_large_a_body(self, api: Api) -> None:
        response = await api.clients[0].post("/wallet/getnowblock", content=b" " * (MAX_BODY + 1))
        assert "too big" in response.json()["Error"]


class TestTransactions:
    async def test_pending_then_included_then_solid(self, api: Api) -> None:
        tx = api.b.usdt(SECOND.address, 5)
        api.b.send(tx)
        pending = await api.ask("/wallet/gettransactionbyid", value=tx.txid)
        assert pending["ret"] == [{"contractRet": "SUCCESS"}]
        assert await api.ask("/wallet/gettransactioninfobyid", value=tx.txid) == {}
        assert await api.ask("/walletsolidity/gettransactionbyid", value=tx.txid) == {}
        assert await api.ask("/wallet/getpendingsize") == {"pendingSize": 1}
        assert await api.ask("/wallet/gettransactionlistfrompending") == {"txId": [tx.txid]}
        found = await api.ask("/wallet/gettransactionfrompending", value=tx.txid)
        assert found["txID"] == tx.txid
        api.b.net.mine()
        info = await api.ask("/wallet/gettransactioninfobyid", value=tx.txid)
        assert info["blockNumber"] == api.b.net.head.number
        assert await api.ask("/walletsolidity/gettransactioninfobyid", value=tx.txid) == {}
        assert await api.ask("/wallet/gettransactionfrompending", value=tx.txid) == {}
        api.b.net.mine(3)
        assert await api.ask("/walletsolidity/gettransactioninfobyid", value=tx.txid) == info
        solid = await api.ask("/walletsolidity/gettransactionbyid", value=tx.txid)
        assert solid["raw_data_hex"] == tx.raw.hex()

    async def test_token_info(self, api: Api) -> None:
        tx = api.b.put(api.b.usdt(SECOND.address, 5)).tx
        info = await api.ask("/wallet/gettransactioninfobyid", value=tx.txid)
        (log,) = info["log"]
        assert log["address"] == raw(api.b.net.token).hex()[2:]
        assert log["topics"][2] == "00" * 12 + raw(SECOND.address).hex()[2:]
        assert int(log["data"], 16) == 5
        assert info["receipt"]["result"] == "SUCCESS"
        assert "result" not in info
        assert info["contractResult"] == ["00" * 32]

    async def test_failed_info(self, api: Api) -> None:
        tx = api.b.put(api.b.usdt(SECOND.address, 10**40)).tx
        info = await api.ask("/wallet/gettransactioninfobyid", value=tx.txid)
        assert (info["result"], info["receipt"]["result"]) == ("FAILED", "REVERT")
        assert bytes.fromhex(info["resMessage"]) == b"REVERT opcode executed"
        assert "log" not in info

    async def test_trx_info_has_no_receipt_result(self, api: Api) -> None:
        tx = api.b.put(api.b.trx(SECOND.address, 5)).tx
        info = await api.ask("/wallet/gettransactioninfobyid", value=tx.txid)
        assert info["contractResult"] == [""]
        assert info["receipt"] == {"net_usage": tx.bandwidth}
        assert "fee" not in info

    async def test_infos_of_a_block(self, api: Api) -> None:
        tx = api.b.put(api.b.trx(SECOND.address, 5)).tx
        path = "/wallet/gettransactioninfobyblocknum"
        number = api.b.net.head.number
        assert [info["id"] for info in await api.ask(path, num=number)] == [tx.txid]
        assert await api.ask(path, num=number - 1) == []
        assert await api.ask(path, num=number + 1) == []
        assert await api.ask("/walletsolidity/gettransactioninfobyblocknum", num=number) == []
        assert await api.ask(path, num=0) == {}


class TestBlocks:
    async def test_every_way_to_a_block(self, api: Api) -> None:
        api.b.put(api.b.usdt(SECOND.address, 5))
        block = await api.ask("/wallet/getnowblock")
        number, identity = api.b.net.head.number, api.b.net.head.id.hex()
        assert verified(block)
        assert await api.ask("/wallet/getblockbynum", num=number) == block
        assert await api.ask("/wallet/getblockbyid", value=identity) == block
        assert (await api.get("/wallet/getblockbynum", num=number)).json() == block
        assert await api.ask("/wallet/getblock", detail=True) == block
        bare = await api.ask("/wallet/getblock", id_or_num=str(number), detail=False)
        assert bare == await api.ask("/wallet/getblock", id_or_num=identity)
        assert bare.keys() == {"blockID", "block_header"}

    async def test_what_is_not_there(self, api: Api) -> None:
        assert await api.ask("/wallet/getblockbynum", num=10**6) == {}
        assert await api.ask("/wallet/getblockbyid", value="00" * 32) == {}
        assert "Error" in await api.ask("/wallet/getblock", id_or_num="latest")
        assert await api.ask("/wallet/getblock", id_or_num="999") == {}

    async def test_an_empty_block_has_no_transactions_field(self, api: Api) -> None:
        assert "transactions" not in await api.ask("/wallet/getnowblock")

    async def test_ranges(self, api: Api) -> None:
        path = "/wallet/getblockbylimitnext"
        blocks = (await api.ask(path, startNum=1, endNum=4))["block"]
        assert [block["block_header"]["raw_data"]["number"] for block in blocks] == [1, 2, 3]
        assert await api.ask(path, startNum=0, endNum=101) == {}
        assert await api.ask(path, startNum=4, endNum=4) == {}
        latest = (await api.ask("/wallet/getblockbylatestnum", num=2))["block"]
        assert [block["blockID"] for block in latest] == [
            block.id.hex() for block in api.b.net.chain.blocks[-2:]
        ]
        solid = await api.ask("/walletsolidity/getblockbylimitnext", startNum=0, endNum=100)
        assert len(solid["block"]) == api.b.net.solid.number + 1

    async def test_the_solid_head(self, api: Api) -> None:
        block = await api.ask("/walletsolidity/getnowblock")
        assert block["blockID"] == api.b.net.solid.id.hex()
        info = await api.ask("/wallet/getnodeinfo")
        assert info["solidityBlock"] == f"Num:{api.b.net.solid.number},ID:{block['blockID']}"

    async def test_genesis(self, api: Api) -> None:
        block = await api.ask("/wallet/getblockbynum", num=0)
        assert verified(block)
        assert block["blockID"] == api.b.net.genesis_id


class TestAccounts:
    async def test_balances(self, api: Api) -> None:
        hidden = await api.ask("/wallet/getaccount", address=raw(HOT.address).hex())
        shown = await api.ask("/wallet/getaccount", address=HOT.address, visible=True)
        assert hidden["balance"] == shown["balance"] == api.b.sun(HOT.address)
        assert (hidden["address"], shown["address"]) == (raw(HOT.address).hex(), HOT.address)
        assert await api.ask("/wallet/getaccount", address=FRESH, visible=True) == {}
        assert "Error" in await api.ask("/wallet/getaccount", address=HOT.address)

    async def test_pending_counts_and_solid_lags(self, api: Api) -> None:
        before = api.b.sun(SECOND.address)
        api.b.send(api.b.trx(SECOND.address, 5))
        body: dict[str, Any] = {"address": SECOND.address, "visible": True}
        assert (await api.ask("/wallet/getaccount", **body))["balance"] == before + 5
        assert (await api.ask("/walletsolidity/getaccount", **body))["balance"] == before
        assert (await api.ask("/wallet/getaccount", node=1, **body))["balance"] == before + 5

    async def test_resources(self, api: Api) -> None:
        api.b.net.stake(HOT.address, bandwidth=1_000, energy=2_000)
        api.b.put(api.b.trx(SECOND.address, 5))
        body: dict[str, Any] = {"address": HOT.address, "visible": True}
        seen = await api.ask("/wallet/getaccountresource", **body)
        assert (seen["freeNetLimit"], seen["NetLimit"], seen["EnergyLimit"]) == (600, 1_000, 2_000)
        assert seen["NetUsed"] > 0
        assert "freeNetUsed" not in seen
        assert "EnergyUsed" not in seen
        assert (await api.ask("/wallet/getaccountnet", **body))["NetLimit"] == 1_000

    @pytest.mark.parametrize("name", ["getaccountresource", "getcontract", "getchainparameters"])
    async def test_what_the_solid_view_does_not_have(self, api: Api, name: str) -> None:
        assert (await api.respond(f"/wallet/{name}")).status_code == 200
        response = await api.respond(f"/walletsolidity/{name}")
        assert response.status_code == 404
        assert response.json() == {"Error": "this API is unavailable due to config"}

    @pytest.mark.parametrize(
        ("text", "valid"),
        [
            (HOT.address, True),
            (raw(HOT.address).hex(), True),
            ("T1", False),
            ("a0" + "00" * 20, False),
        ],
    )
    async def test_validation(self, api: Api, text: str, valid: bool) -> None:
        assert (await api.ask("/wallet/validateaddress", address=text))["result"] is valid


class TestContracts:
    def transfer(self, to: str, amount: int) -> dict[str, Any]:
        return {
            "owner_address": HOT.address,
            "contract_address": "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
            "function_selector": "transfer(address,uint256)",
            "parameter": call_data("", to, amount)[4:].hex(),
            "visible": True,
        }

    async def test_constant_call(self, api: Api) -> None:
        body = self.transfer(FRESH, 5)
        answer = await api.ask("/wallet/triggerconstantcontract", **body)
        assert answer["result"] == {"result": True}
        assert answer["energy_used"] == 130_285
        assert answer["transaction"]["ret"] == [{}]
        assert len(answer["logs"]) == 1
        estimate = await api.ask("/wallet/estimateenergy", **body)
        assert estimate == {"result": {"result": True}, "energy_required": 130_285}
        assert api.b.tokens(FRESH) == 0

    async def test_a_revert_still_says_true(self, api: Api) -> None:
        api.b.net.blacklist(FRESH)
        answer = await api.ask("/wallet/triggerconstantcontract", **self.transfer(FRESH, 5))
        assert answer["result"]["result"] is True
        assert bytes.fromhex(answer["result"]["message"]) == b"REVERT opcode executed"
        assert answer["transaction"]["ret"] == [{"ret": "FAILED"}]
        estimate = await api.ask("/wallet/estimateenergy", **self.transfer(FRESH, 5))
        assert estimate["result"]["code"] == "CONTRACT_EXE_ERROR"

    async def test_call_data_instead_of_a_selector(self, api: Api) -> None:
        answer = await api.ask(
            "/walletsolidity/triggerconstantcontract",
            owner_address=raw(HOT.address).hex(),
            contract_address=raw(api.b.net.token).hex(),
            data=call_data("balanceOf(address)", HOT.address).hex(),
        )
        assert int(answer["constant_result"][0], 16) == api.b.tokens(HOT.address)

    async def test_another_contract(self, api: Api) -> None:
        body = self.transfer(FRESH, 5) | {"contract_address": FRESH}
        for name in ("triggerconstantcontract", "triggersmartcontract", "estimateenergy"):
            answer = await api.ask(f"/wallet/{name}", **body)
            assert answer["result"]["code"] == "CONTRACT_VALIDATE_ERROR"
        assert await api.ask("/wallet/getcontract", value=FRESH, visible=True) == {}
        assert await api.ask("/wallet/getcontractinfo", value=FRESH, visible=True) == {}

    async def test_building_signing_and_sending(self, api: Api) -> None:
        body = self.transfer(FRESH, 5) | {"fee_limit": 50_000_000}
        built = (await api.ask("/wallet/triggersmartcontract", **body))["transaction"]
        other = (await api.ask("/wallet/triggersmartcontract", **body))["transaction"]
        assert built["txID"] != other["txID"]
        built["signature"] = [sign(HOT.private_key, bytes.fromhex(built["txID"])).hex()]
        assert (await api.ask("/wallet/broadcasttransaction", **built))["result"] is True
        api.b.net.mine()
        assert api.b.tokens(FRESH) == 5

    async def test_a_fee_limit_beyond_the_maximum(self, api: Api) -> None:
        body = self.transfer(FRESH, 5) | {"fee_limit": 10**12}
        answer = await api.ask("/wallet/triggersmartcontract", **body)
        assert answer["result"]["code"] == "CONTRACT_VALIDATE_ERROR"

    async def test_triggering_a_view_answers_at_once(self, api: Api) -> None:
        body = self.transfer(FRESH, 5) | {"function_selector": "decimals()", "parameter": ""}
        answer = await api.ask("/wallet/triggersmartcontract", **body)
        assert int(answer["constant_result"][0], 16) == 6

    async def test_description(self, api: Api) -> None:
        found = await api.ask("/wallet/getcontract", value=api.b.net.token, visible=True)
        names = {entry["name"] for entry in found["abi"]["entrys"]}
        assert {"transfer", "transferFrom", "approve", "allowance", "totalSupply"} <= names
        info = await api.ask("/wallet/getcontractinfo", value=api.b.net.token, visible=True)
        assert info["smart_contract"] == found
        assert "energy_factor" not in info["contract_state"]


class TestSigning:
    async def test_weight_and_approvals(self, api: Api) -> None:
        unsigned = api.b.trx(SECOND.address, 1, signers=())
        weight = await api.ask("/wallet/getsignweight", **unsigned.to_json())
        assert weight["result"] == {"code": "NOT_ENOUGH_PERMISSION"}
        assert weight["transaction"]["transaction"]["txID"] == unsigned.txid
        assert weight["permission"]["keys"][0]["address"] == raw(HOT.address).hex()
        signed = api.b.trx(SECOND.address, 1)
        weight = await api.ask("/wallet/getsignweight", **signed.to_json())
        assert (weight["result"], weight["current_weight"]) == ({}, 1)
        approved = await api.ask("/wallet/getapprovedlist", **signed.to_json())
        assert approved["approved_list"] == [raw(HOT.address).hex()]

    async def test_what_can_not_be_judged(self, api: Api) -> None:
        odd = api.b.trx(SECOND.address, 1, permission_id=9).to_json()
        weight = await api.ask("/wallet/getsignweight", **odd)
        assert weight["result"]["code"] == "PERMISSION_ERROR"
        broken = api.b.trx(SECOND.address, 1).to_json() | {"signature": ["00"]}
        for name in ("getsignweight", "getapprovedlist"):
            answer = await api.ask(f"/wallet/{name}", **broken)
            assert answer["result"]["code"] == "SIGNATURE_FORMAT_ERROR"

    async def test_create_transaction(self, api: Api) -> None:
        body: dict[str, Any] = {"owner_address": HOT.address, "to_address": FRESH, "visible": True}
        built = await api.ask("/wallet/createtransaction", amount=5, **body)
        assert built["raw_data"]["expiration"] == api.b.net.head.timestamp + 60_000
        refused = await api.ask("/wallet/createtransaction", amount=0, **body)
        assert refused["Error"].startswith("class org.tron.core.exception.ContractValidate")

    async def test_permission_update(self, api: Api) -> None:
        key = {"address": HOT.address, "weight": 1}
        built = await api.ask(
            "/wallet/accountpermissionupdate",
            visible=True,
            owner_address=HOT.address,
            owner={"permission_name": "owner", "threshold": 1, "keys": [key]},
            actives=[
                {
                    "type": "Active",
                    "permission_name": "pay",
                    "threshold": 1,
                    "operations": "02000080" + "00" * 28,
                    "keys": [key],
                }
            ],
        )
        built["signature"] = [sign(HOT.private_key, bytes.fromhex(built["txID"])).hex()]
        assert (await api.ask("/wallet/broadcasttransaction", **built))["result"] is True
        api.b.net.mine()
        account = await api.ask("/wallet/getaccount", address=HOT.address, visible=True)
        assert account["active_permission"][0]["permission_name"] == "pay"


async def test_chain_parameters_leave_out_zeros(api: Api) -> None:
    rows = (await api.ask("/wallet/getchainparameters"))["chainParameter"]
    values = {row["key"]: row.get("value") for row in rows}
    assert (values["getEnergyFee"], values["getTransactionFee"]) == (100, 1_000)
    assert values["getAllowUpdateAccountName"] is None
    assert (await api.ask("/wallet/getenergyprices"))["prices"] == "0:100"


@pytest.mark.parametrize("path", sorted(HANDLERS))
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"value": 1, "num": "x", "address": 5},
        {"raw_data": 1},
        {"raw_data": {"contract": [1]}},
        {"raw_data": {"contract": 1}, "signature": 1},
    ],
)
async def test_no_request_breaks_the_node(api: Api, path: str, body: dict[str, Any]) -> None:
    assert (await api.respond(path, **body)).status_code == 200


class TestFaults:
    async def block(self, api: Api) -> dict[str, Any]:
        answer: dict[str, Any] = await api.ask("/wallet/getblockbynum", num=api.b.net.head.number)
        return answer

    async def test_statuses_are_counted_and_restricted(self, api: Api) -> None:
        api.b.net.faults.add(
            Fault(kind="http_status", value=429, node=0, count=1, path="/wallet/getnowblock")
        )
        assert (await api.respond("/wallet/getnodeinfo")).status_code == 200
        assert (await api.respond("/wallet/getnowblock", node=1)).status_code == 200
        assert (await api.respond("/wallet/getnowblock")).status_code == 429
        assert (await api.respond("/wallet/getnowblock")).status_code == 200
        assert [fault["fired"] for fault in api.b.net.faults] == [1]

    async def test_connections(self, api: Api) -> None:
        for kind, error in (("reset", httpx.ReadError), ("hang", httpx.ReadTimeout)):
            api.b.net.faults.add(Fault(kind=kind, count=1))
            with pytest.raises(error):
                await api.respond("/wallet/getnowblock")
        api.b.net.faults.add(Fault(kind="latency", value=0, count=1))
        assert (await api.respond("/wallet/getnowblock")).status_code == 200
        assert [fault["left"] for fault in api.b.net.faults] == [0, 0, 0]

    async def test_odd_answers(self, api: Api) -> None:
        add = api.b.net.faults.add
        add(Fault(kind="nonsense", count=1))
        assert (await api.respond("/wallet/getnowblock")).text.startswith("<html>")
        add(Fault(kind="huge", value=3_000_000, count=1))
        assert len((await api.respond("/wallet/getnowblock")).content) == 3_000_000
        add(Fault(kind="content_type", count=1))
        response = await api.respond("/wallet/getnowblock")
        assert response.headers["content-type"] == "text/html"
        assert "blockID" in response.json()

    @pytest.mark.parametrize("how", ["status", "reset", "hang"])
    async def test_an_answer_lost_after_acceptance(self, api: Api, how: str) -> None:
        tx = api.b.trx(SECOND.address, 1)
        api.b.net.faults.add(
            Fault(kind="lost_answer", value=how, path="/wallet/broadcasthex", count=1)
        )
        body: dict[str, Any] = {"transaction": tx.wire.hex()}
        if how == "status":
            assert (await api.respond("/wallet/broadcasthex", **body)).status_code == 504
        else:
            with pytest.raises(httpx.TransportError):
                await api.respond("/wallet/broadcasthex", **body)
        api.b.net.mine()
        assert api.b.is_included(tx)

    async def test_one_recipient_only(self, api: Api) -> None:
        api.b.net.faults.add(Fault(kind="http_status", value=500, recipient=FRESH))
        for to, status in ((SECOND.address, 200), (FRESH, 500)):
            for make in (api.b.trx, api.b.usdt):
                body: dict[str, Any] = {"transaction": make(to, 1).wire.hex()}
                response = await api.respond("/wallet/broadcasthex", **body)
                assert response.status_code == status
        assert (await api.respond("/wallet/broadcasthex", transaction="zz")).status_code == 200

    async def test_hidden_transactions(self, api: Api) -> None:
        tx = api.b.put(api.b.trx(SECOND.address, 1)).tx
        for kind, path in (
            ("hide_transaction", "/wallet/gettransactionbyid"),
            ("hide_info", "/wallet/gettransactioninfobyid"),
        ):
            api.b.net.faults.add(Fault(kind=kind, node=0))
            assert await api.ask(path, value=tx.txid) == {}
            assert await api.ask(path, node=1, value=tx.txid) != {}
        number = api.b.net.head.number
        assert await api.ask("/wallet/gettransactioninfobyblocknum", num=number) == []

    async def test_a_hidden_pending_transaction(self, api: Api) -> None:
        tx = api.b.trx(SECOND.address, 1)
        api.b.send(tx)
        api.b.net.faults.add(Fault(kind="hide_transaction", count=1))
        assert await api.ask("/wallet/gettransactionbyid", value=tx.txid) == {}
        assert await api.ask("/wallet/gettransactionbyid", value=tx.txid) != {}

    async def test_infos_that_disagree(self, api: Api) -> None:
        tx = api.b.put(api.b.usdt(SECOND.address, 1)).tx
        api.b.net.faults.add(Fault(kind="info_block", count=1))
        info = await api.ask("/wallet/gettransactioninfobyid", value=tx.txid)
        assert info["blockNumber"] == api.b.net.head.number + 1
        api.b.net.faults.add(Fault(kind="info_result", value="OUT_OF_ENERGY", count=1))
        info = await api.ask("/wallet/gettransactioninfobyid", value=tx.txid)
        assert (info["result"], info["receipt"]["result"]) == ("FAILED", "OUT_OF_ENERGY")
        block = await self.block(api)
        assert block["transactions"][0]["ret"] == [{"contractRet": "SUCCESS"}]

    async def test_a_failed_one_shown_as_success(self, api: Api) -> None:
        tx = api.b.put(api.b.usdt(SECOND.address, 10**40)).tx
        api.b.net.faults.add(Fault(kind="info_result", value="SUCCESS"))
        info = await api.ask("/wallet/gettransactioninfobyid", value=tx.txid)
        assert "result" not in info
        assert info["receipt"]["result"] == "SUCCESS"

    @pytest.mark.parametrize("recipient", [None, SECOND.address])
    async def test_blocks_with_transactions_left_out(self, api: Api, recipient: str | None) -> None:
        api.b.send(api.b.usdt(SECOND.address, 1))
        api.b.put(api.b.usdt(FRESH, 1))
        assert verified(await self.block(api))
        api.b.net.faults.add(Fault(kind="omit_transactions", recipient=recipient))
        block = await self.block(api)
        assert len(block.get("transactions", [])) == (0 if recipient is None else 1)
        assert not verified(block)

    async def test_blocks_with_altered_results(self, api: Api) -> None:
        tx = api.b.put(api.b.usdt(SECOND.address, 1)).tx
        api.b.net.faults.add(Fault(kind="alter_result", value="REVERT"))
        block = await self.block(api)
        assert block["transactions"][0]["ret"] == [{"contractRet": "REVERT"}]
        assert not verified(block)
        alone = await api.ask("/wallet/gettransactionbyid", value=tx.txid)
        assert alone["ret"] == [{"contractRet": "REVERT"}]
        api.b.net.faults.clear("alter_result")
        assert verified(await self.block(api))

    async def test_a_broken_parent_link(self, api: Api) -> None:
        api.b.net.faults.add(Fault(kind="break_parent", count=1))
        block = await self.block(api)
        assert verified(block)
        assert block["blockID"] != api.b.net.head.id.hex()
        assert (await self.block(api))["blockID"] == api.b.net.head.id.hex()

    async def test_stalled_and_lagging_heads(self, api: Api) -> None:
        async def heads(node: int) -> tuple[int, int]:
            whole = await api.ask("/wallet/getnowblock", node=node)
            solid = await api.ask("/walletsolidity/getnowblock", node=node)
            numbers = [b["block_header"]["raw_data"].get("number", 0) for b in (whole, solid)]
            return numbers[0], numbers[1]

        head, solid = api.b.net.head.number, api.b.net.solid.number
        api.b.net.faults.add(Fault(kind="solid_stall", node=0))
        api.b.net.mine(2)
        assert await heads(0) == (head + 2, solid)
        assert await heads(1) == (head + 2, solid + 2)
        api.b.net.faults.clear()
        api.b.net.faults.add(Fault(kind="solid_lag", value=100, node=0))
        assert await heads(0) == (head + 2, 0)
        api.b.net.faults.clear()
        api.b.net.faults.add(Fault(kind="head_stall", value=1))
        assert await heads(0) == (1, 1)

    @pytest.mark.parametrize(
        "bad",
        [
            {"kind": "earthquake"},
            {"kind": "refuse"},
            {"kind": "refuse", "value": "NOPE"},
            {"kind": "latency", "value": "slow"},
            {"kind": "latency", "value": -1},
            {"kind": "reset", "count": 0},
            {"kind": "reset", "recipient": "T"},
        ],
    )
    def test_what_is_no_fault(self, bad: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"."):
            Fault(**bad)

    def test_every_kind_has_a_description(self) -> None:
        assert all(kind.about for kind in KINDS.values())


class TestControl:
    async def test_mining_and_state(self, api: Api) -> None:
        state = (await api.get("/devnet/state")).json()
        assert state["head"]["number"] == 5
        assert state["wallets"][0] == HOT.address
        mined = await api.ask("/devnet/mine", count=3)
        assert mined["head"]["number"] == 8
        assert (await api.respond("/devnet/mine", count=0)).status_code == 400

    async def test_the_index_names_every_call_and_fault(self, api: Api) -> None:
        index = (await api.get("/devnet")).json()
        assert index["calls"]["/devnet/faults"] == ["GET", "POST", "DELETE"]
        assert index["faults"].keys() == KINDS.keys()

    async def test_money(self, api: Api) -> None:
        funded = await api.ask("/devnet/fund", address=FRESH, trx_sun=7, token_units=9)
        assert funded == {"address": FRESH, "trx_sun": 7, "token_units": 9}
        assert (await api.get("/devnet/balance", address=FRESH)).json() == funded
        assert (await api.respond("/devnet/fund", address=FRESH, trx_sun=-1)).status_code == 400
        assert (await api.respond("/devnet/fund", address="T")).status_code == 400
        assert (await api.respond("/devnet/fund")).status_code == 400

    async def test_token_switches(self, api: Api) -> None:
        await api.ask("/devnet/stake", address=HOT.address, energy=10**6)
        await api.ask("/devnet/blacklist", address=FRESH, blocked=True)
        assert api.b.put(api.b.usdt(FRESH, 1)).receipt.contract_ret == "REVERT"
        await api.ask("/devnet/blacklist", address=FRESH, blocked=False)
        await api.ask("/devnet/pause", paused=True)
        assert api.b.put(api.b.usdt(FRESH, 1)).receipt.contract_ret == "REVERT"
        await api.ask("/devnet/pause", paused=False)
        item = api.b.put(api.b.usdt(FRESH, 1))
        assert (item.receipt.contract_ret, item.receipt.energy_fee) == ("SUCCESS", 0)

    async def test_faults(self, api: Api) -> None:
        added = await api.ask("/devnet/faults", kind="http_status", value=503, count=2)
        assert added["faults"][0]["left"] == 2
        assert (await api.respond("/wallet/getnowblock")).status_code == 503
        listed = (await api.get("/devnet/faults")).json()["faults"]
        assert (listed[0]["fired"], listed[0]["left"]) == (1, 1)
        assert (await api.clients[0].delete("/devnet/faults")).json() == {"faults": []}
        assert (await api.respond("/wallet/getnowblock")).status_code == 200
        for bad in ({}, {"kind": "x"}, {"kind": "reset", "oops": 1}):
            assert (await api.respond("/devnet/faults", **bad)).status_code == 400

    async def test_forks(self, api: Api) -> None:
        tx = api.b.put(api.b.trx(SECOND.address, 1)).tx
        answer = await api.ask("/devnet/fork", depth=1, drop=[tx.txid])
        assert answer["removed"] == [tx.txid]
        assert (await api.respond("/devnet/fork", depth=99)).status_code == 400

    async def test_calls(self, api: Api) -> None:
        for _ in range(3):
            await api.ask("/wallet/getnowblock", node=1)
        calls = (await api.get("/devnet/calls")).json()
        assert calls == {"nodes": [{}, {"/wallet/getnowblock": 3}], "total": 3}
        assert (await api.clients[0].delete("/devnet/calls")).json()["total"] == 0

    async def test_ledger(self, api: Api) -> None:
        api.b.put(api.b.usdt(FRESH, 5))
        api.b.put(api.b.trx(HOT.address, 6, SECOND))
        api.b.put(api.b.usdt(FRESH, 10**40))
        rows = (await api.get("/devnet/ledger")).json()["transfers"]
        assert [(row["from"], row["to"], row["amount"], row["currency"]) for row in rows] == [
            (HOT.address, FRESH, 5, "USDT"),
            (SECOND.address, HOT.address, 6, "TRX"),
        ]
        mine = (await api.get("/devnet/ledger", **{"from": HOT.address})).json()["transfers"]
        assert [(row["amount"], row["solid"]) for row in mine] == [(5, False)]
        api.b.net.mine(3)
        assert all(row.solid for row in api.b.net.ledger())

    async def test_what_is_not_there(self, api: Api) -> None:
        assert (await api.get("/devnet/nothing")).status_code == 404
        assert (await api.get("/devnet/mine")).status_code == 405
        response = await api.clients[0].post("/devnet/mine", content=b"{")
        assert response.status_code == 400


def test_another_network_is_another_chain() -> None:
    assert Devnet(DevnetSettings(network="other")).genesis_id != Devnet().genesis_id
