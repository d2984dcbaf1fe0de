// Make this mongod a replica set of one, and let the payout router in with its password of today.
// Runs at each start, until it succeeds; changes nothing that is right already.

const NOT_YET_INITIALIZED = 94;
const DATABASE = "payout_router";
const USER = "tron-payout-router";

const env = process.env;
const admin = connect("mongodb://127.0.0.1:27017/admin?directConnection=true");
admin.auth(env.MONGO_INITDB_ROOT_USERNAME, env.MONGO_INITDB_ROOT_PASSWORD);

try {
  admin.runCommand({ replSetGetStatus: 1 });
} catch (error) {
  if (error.code !== NOT_YET_INITIALIZED) throw error;
  admin.runCommand({
    replSetInitiate: { _id: "rs0", members: [{ _id: 0, host: "lucid-mongodb:27017" }] },
  });
}
while (!admin.hello().isWritablePrimary) sleep(100);

// The second database is that of the devnet profile.
const roles = [DATABASE, `${DATABASE}_devnet`].map((db) => ({ role: "readWrite", db }));
const payouts = admin.getSiblingDB(DATABASE);
const known = payouts.getUser(USER);
const account = { pwd: env.MONGODB_PASSWORD, roles };
if (known) payouts.updateUser(USER, account);
else payouts.createUser({ user: USER, ...account });
print("the replica set and its user are ready");
