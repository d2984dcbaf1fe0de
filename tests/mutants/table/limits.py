"""Intake: idempotency, and what payouts count for in their limits."""

from tests.mutants.mutant import Edit, mutant

INTAKE = "services/intake.py"
LIMITS = "services/limits.py"
WINDOWS = "adapters/memory/windows.py"

YOUNG_ORPHANS = Edit(LIMITS, "ORPHAN_AGE_SECONDS = 600.0", "ORPHAN_AGE_SECONDS = 0.0")

MUTANTS = (
    mutant(
        "reservation-never-released",
        "what an ended payout reserved does not come back",
        Edit(
            LIMITS,
            "                await self.release(payout.window_ids, payout.payout_id)\n",
            "",
        ),
    ),
    mutant(
        "paid-is-released",
        "a completed payout stops counting in its windows",
        Edit(
            LIMITS,
            "    return payout.status is PayoutStatus.COMPLETED or has_success(payout)\n",
            "    return False\n",
        ),
    ),
    mutant(
        "released-twice",
        "a release that is repeated takes the amount out again",
        Edit(
            WINDOWS,
            "        entry = held.entries.pop(payout_id, None)\n",
            "        entry = held.entries.get(payout_id)\n",
        ),
    ),
    mutant(
        "reserved-twice",
        "a reservation whose answer was lost counts again",
        Edit(
            WINDOWS,
            "        if payout_id not in held.entries and window.takes(held.used, amount):",
            "        if window.takes(held.used, amount):",
        ),
        spared="no caller reserves again for the same payout",
    ),
    mutant(
        "limit-checked-by-a-read",
        "requests that race see the same room in a window, and all take it",
        Edit(WINDOWS, " and window.takes(held.used, amount):", ":"),
        Edit(
            LIMITS,
            "        full = await self._store.reserve(windows, payout_id, amount)\n",
            """\
        used = await self._store.used([each.window_id for each in windows])
        full = [each for each in windows if not each.takes(used[each.window_id], amount)]
        full = full or await self._store.reserve(windows, payout_id, amount)
""",
        ),
    ),
    mutant(
        "reservation-kept-on-a-taken-key",
        "a request that loses the race for its key leaves its reservation behind",
        Edit(
            INTAKE,
            "            await self._limits.release(payout.window_ids, payout_id)\n",
            "",
        ),
        spared="the sweep for orphans gives it back later",
    ),
    mutant(
        "orphans-stay",
        "a reservation whose payout never arrived is never undone",
        Edit(
            LIMITS,
            "            if await self._store.bury(payout_id) or "
            "await self._disown(window_id, payout_id):\n",
            "            if False:\n",
        ),
    ),
    mutant(
        "tombstone-skipped",
        "an orphan's reservation goes though its payout can still arrive, and soon does",
        YOUNG_ORPHANS,
        Edit(
            LIMITS,
            "            if await self._store.bury(payout_id) or "
            "await self._disown(window_id, payout_id):\n",
            "            if True:\n",
        ),
    ),
    mutant(
        "tombstone-not-seen",
        "a payout arrives after its reservation was undone, which is done soon",
        YOUNG_ORPHANS,
        Edit(
            "adapters/memory/store.py",
            "        if payout.payout_id in self._buried:\n",
            "        if False:\n",
        ),
    ),
    mutant(
        "young-orphans",
        "a reservation counts as orphaned while its request is still under way",
        YOUNG_ORPHANS,
        spared="the tombstone lets the request fail, and its client ask again",
    ),
    mutant(
        "key-looked-up-once",
        "a replay is refused by a limit that its first request filled",
        Edit(
            INTAKE,
            """\
        except PayoutError:
            before = await self._replay(caller, request)
            if before is None:
                raise
            return before
""",
            """\
        except PayoutError:
            raise
""",
        ),
        spared="a client is told a wrong reason, and its payout is paid all the same",
    ),
    mutant(
        "key-not-unique",
        "requests with one key that race make a payout each",
        Edit(
            "adapters/memory/store.py",
            "                raise KeyTakenError(payout.idempotency_key)\n",
            "                pass\n",
        ),
    ),
    mutant(
        "fingerprint-not-compared",
        "another body under a used key is answered with the first one's payout",
        Edit(
            INTAKE,
            "        if payout.fingerprint != request.fingerprint:",
            "        if False:",
        ),
    ),
    mutant(
        "insert-repeated-under-another-id",
        "an insert whose answer was lost is made again as another payout",
        Edit(
            INTAKE,
            "                lambda: self._store.insert(payout),\n",
            """\
                lambda: self._store.insert(
                    __import__("dataclasses").replace(
                        payout, payout_id=self._new_id(payout.created_at)
                    )
                ),
""",
        ),
    ),
    mutant(
        "accepted-before-kept",
        "a payout is answered for though the store did not confirm it, and not saved again",
        Edit(INTAKE, "                retry_on=(StoreError,),\n", "                retry_on=(),\n"),
        Edit(
            INTAKE,
            """\
        except StoreError:
            raise PayoutError(
                "P700",
                "the payout is not known""",
            """\
        except StoreError:
            return
            raise PayoutError(
                "P700",
                "the payout is not known""",
        ),
    ),
)
