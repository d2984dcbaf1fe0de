// Unmodified TronWeb against a node: argv is URL, private key, token, recipient.
// Prints one JSON object with what it read and did.
import { TronWeb } from "tronweb";

const [url, privateKey, token, recipient] = process.argv.slice(2);
const tronWeb = new TronWeb({ fullHost: url, privateKey });
const owner = tronWeb.defaultAddress.base58;

async function mine() {
  const answer = await fetch(`${url}/devnet/mine`, { method: "POST", body: '{"count":1}' });
  if (!answer.ok) throw new Error(await answer.text());
}

const contract = await tronWeb.contract().at(token);
const before = await contract.balanceOf(recipient).call();

const trx = await tronWeb.trx.sendTransaction(recipient, 1_500_000);
const called = await tronWeb.transactionBuilder.triggerSmartContract(
  token,
  "transfer(address,uint256)",
  { feeLimit: 100_000_000 },
  [{ type: "address", value: recipient }, { type: "uint256", value: 2_500_000 }],
  owner,
);
const signed = await tronWeb.trx.sign(called.transaction);
const token20 = await tronWeb.trx.sendRawTransaction(signed);
await mine();

const constant = await tronWeb.transactionBuilder.triggerConstantContract(
  token,
  "transfer(address,uint256)",
  {},
  [{ type: "address", value: recipient }, { type: "uint256", value: 1 }],
  owner,
);
const sendByMethod = await contract.transfer(recipient, 3).send({ feeLimit: 100_000_000 });
await mine();

console.log(
  JSON.stringify({
    owner,
    symbol: await contract.symbol().call(),
    decimals: String(await contract.decimals().call()),
    before: String(before),
    after: String(await contract.balanceOf(recipient).call()),
    trxBalance: await tronWeb.trx.getBalance(recipient),
    trx: { result: trx.result, txid: trx.txid },
    token: { result: token20.result, txid: token20.txid },
    byMethod: sendByMethod,
    energy: constant.energy_used,
    trxInfo: await tronWeb.trx.getUnconfirmedTransactionInfo(trx.txid),
    tokenInfo: await tronWeb.trx.getUnconfirmedTransactionInfo(token20.txid),
    transaction: await tronWeb.trx.getTransaction(token20.txid),
    block: (await tronWeb.trx.getCurrentBlock()).block_header.raw_data.number,
    resources: await tronWeb.trx.getAccountResources(owner),
    parameters: (await tronWeb.trx.getChainParameters()).length,
  }),
);
