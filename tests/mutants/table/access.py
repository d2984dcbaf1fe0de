"""Letting in who may not come in, or too many."""

from tests.mutants.mutant import Edit, Mutant, mutant

TOKENS = "services/tokens.py"
CACHE = "adapters/redis/tokens.py"

NO_HTTP = "it has no HTTP in it"
NOT_MONGO = "it runs over the store in memory"
NO_REDIS = "its cache is a dictionary"


def _at_the_edge(name: str, brings_back: str, edit: Edit, why: str, *tests: str) -> Mutant:
    """`why` the simulation is not asked; empty where it is."""
    return Mutant(name, brings_back, (edit,), why, tests)


MUTANTS = (
    mutant(
        "revocation-kept-to-itself",
        "the other replicas let in a token that was revoked, as long as they remember it",
        Edit(
            CACHE,
            "        await self._tell({standing.key: standing.cutoff_ms}, self._telling)\n",
            "",
        ),
    ),
    mutant(
        "revoked-subject-comes-in",
        "a subject's tokens count though all of them were revoked",
        Edit(
            "models/token.py",
            "    return (subject,) if caller.token_id is None else "
            "(subject, Target(caller.token_id))\n",
            "    return (subject,) if caller.token_id is None else (Target(caller.token_id),)\n",
        ),
    ),
    mutant(
        "revoked-token-comes-in",
        "nobody asks whether a token was revoked",
        Edit(
            TOKENS,
            "        if caller.issued_at * 1000 < max(cutoffs.values()):",
            "        if False:",
        ),
    ),
    _at_the_edge(
        "token-counts-while-nobody-can-tell",
        "a revoked token is let in while the database is down",
        Edit(
            TOKENS,
            "        cutoffs = await self._revocations.cutoffs("
            "[one.key for one in targets_of(caller)])\n",
            """\
        from ports.store import StoreError

        try:
            cutoffs = await self._revocations.cutoffs([one.key for one in targets_of(caller)])
        except StoreError:
            return
""",
        ),
        "its caches remember what was revoked, and forget it too seldom",
        "tests/unit/services/test_tokens.py",
        "tests/unit/api/test_tokens.py",
    ),
    _at_the_edge(
        "revocation-lowered-in-the-cache",
        "an answer from before a revocation takes its place, and lets the token in again",
        Edit(
            CACHE, "  if not known or known < tonumber(ARGV[2 * number - 1]) then", "  if true then"
        ),
        NO_REDIS,
        "tests/integration/test_redis_tokens.py",
    ),
    _at_the_edge(
        "tenants-see-each-other",
        "lists and sums show what belongs to another tenant",
        Edit(
            "adapters/memory/queries.py",
            "(scope.any_tenant or payout.tenant == scope.tenant) and",
            "True and",
        ),
        "",
        "tests/contract/test_store_tenants.py",
    ),
    _at_the_edge(
        "mongo-tenants-see-each-other",
        "lists and sums show what belongs to another tenant",
        Edit(
            "adapters/mongo/queries.py",
            "    if not scope.any_tenant:\n",
            "    if False:\n",
        ),
        NOT_MONGO,
        "tests/contract/test_store_tenants.py",
    ),
    _at_the_edge(
        "owner-of-all-reaches-every-tenant",
        "a token of a tenant reaches another tenant's payout by its id",
        Edit(
            "models/caller.py",
            "            return reach is Reach.ALL and (self.tenant is None or at_home)\n",
            "            return reach is Reach.ALL\n",
        ),
        "",
        "tests/unit/models/test_caller.py",
    ),
    _at_the_edge(
        "role-not-asked",
        "whoever has a token may do everything",
        Edit("api/auth.py", "            who.require(self.action)\n", "            pass\n"),
        NO_HTTP,
        "tests/unit/api/test_auth.py",
    ),
    _at_the_edge(
        "algorithm-of-the-token-believed",
        "the token says by which algorithm it is verified",
        Edit("api/verify.py", "algorithms=active.algorithms,", 'algorithms=[header["alg"]],'),
        NO_HTTP,
        "tests/unit/api/test_verify.py",
    ),
    _at_the_edge(
        "limiter-refuses-nobody",
        "who asks without end is answered without end",
        Edit("models/rate.py", "        allowed=wait_us <= 0,\n", "        allowed=True,\n"),
        NO_HTTP,
        "tests/unit/models/test_rate.py",
        "tests/unit/api/test_throttling.py",
    ),
    _at_the_edge(
        "no-limit-without-redis",
        "whoever gets Redis down may ask as often as they like",
        Edit(
            "adapters/redis/throttle.py",
            "        mine = await self._local.take(key, rate)\n",
            "        mine = verdict(rate, 0, rate.interval_us)\n",
        ),
        NO_REDIS,
        "tests/integration/test_redis_throttle.py",
    ),
)
