"""The laws of a repository, as tests to inherit: whatever storage passes them cannot lose, double or invent a payment.

    class TestMyStorage(RepositoryLaws):
        @pytest.fixture
        def storage(self):
            return Storage(begin=my_begin, accounts=[Known({"id": "1"}, 1)], strangers=[{"id": "999"}])

The laws are those of `paytechuz_core.repository`, each with what follows from it: keys compare byte for byte; ids and
holds are unique, under threads that race for them too; an update goes only where nobody wrote first; what stands in one
database transaction commits or vanishes together; and what is read is what was saved, to the millisecond, the tiyin and
the last character. `AsyncRepositoryLaws` are the same for an `AsyncBegin`.

Every law works with ids of its own, so the storage need not be empty, and several laws may share one.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count, permutations
from threading import Barrier
from typing import Any, Final, Generic, TypeVar
from uuid import uuid4

import pytest

from paytechuz_core.repository import AsyncBegin, Begin, Conflict
from paytechuz_core.testing.bridge import Bridge
from paytechuz_core.transaction import Change, Fields, Key, Millis, Reason, State, Transaction

BeginT = TypeVar("BeginT")

NOW: Final[Millis] = 1_763_900_123_457
"""A moment whose seconds and milliseconds are not round."""

SPELLINGS: Final = ("ABC", "abc", "Abc", "abc ", " abc", "àbc", "a\u0300bc", "ab\u00adc", "abc\t", "абс", "abc🍏")
"""Eleven different keys. A database may take several of them for one: by case, accent, padding or what is invisible."""

PATIENCE: Final = 10
"""How often a rival starts over; one of them must win long before."""

VALUES: Final[Fields] = {
    "text": "so‘m, сум, 🍏, \"quoted\", 'quoted', back\\slash, new\nline, %s, :name, {}",
    "integer": 999_999_999_999_999_999,
    "negative": -1,
    "fraction": 0.1,
    "yes": True,
    "no": False,
    "nothing": None,
    "list": [1, "1", [], {}, None],
    "object": {"deep": {"deeper": ["deepest"]}},
    "": "an empty name",
    "Ключ": "a name in another script",
}
"""Everything that JSON knows."""


@dataclass(frozen=True, slots=True)
class Known:
    """An account that `find_account` finds: the provider's fields that name it, and its primary key in its own type."""

    fields: Fields
    id: Key


@dataclass(frozen=True, slots=True)
class Storage(Generic[BeginT]):
    """What the laws are tried on.

    `begin` opens a database transaction (a `Begin`, or an `AsyncBegin` for the async laws). `accounts` must be found,
    one at least; `strangers` must not be found. `rivals` threads race: 1 where a storage can have one user only.
    """

    begin: BeginT
    accounts: Sequence[Known]
    strangers: Sequence[Fields] = ()
    rivals: int = 8


class Trial:
    """One law's dealings with a storage: every call below is a database transaction of its own."""

    def __init__(self, storage: Storage[Begin]) -> None:
        self.storage = storage
        self.begin = storage.begin
        self.prefix = uuid4().hex[:12]
        self._numbers = count(1)

    def birth(self, **values: Any) -> Change:
        """Make a new transaction, not yet saved, with an id and a hold that nobody has."""
        name = f"{self.prefix}{next(self._numbers):04}"
        known = self.storage.accounts[0]
        born: dict[str, Any] = {
            "gateway": "payme",
            "transaction_id": name,
            "account_id": known.id,
            "account": known.fields,
            "amount_tiyin": 500_000,
            "state": State.INITIATING,
            "create_time": NOW,
            "update_time": NOW,
            "provider_time": NOW - 1234,
            "lifetime": 1_800_000,
            "hold": f"orders:{name}",
        }
        return Change(None, Transaction(**{**born, **values}))

    def save(self, *changes: Change | None) -> Transaction:
        """Save the changes in one database transaction and give the last as stored."""
        with self.begin() as repository:
            stored = [repository.save(change) for change in changes if change is not None]
        return stored[-1]

    def find(self, gateway: str, transaction_id: str | None, hold: str | None = None) -> Sequence[Transaction]:
        """Find by id, by hold, or both."""
        with self.begin() as repository:
            return list(repository.find_transactions(gateway, transaction_id, hold, for_update=False))

    def read(self, transaction: Transaction) -> Transaction:
        """Read again what was saved, and make sure that it is there once."""
        found = self.find(transaction.gateway, transaction.transaction_id)
        assert len(found) == 1, f"{transaction.transaction_id!r} was saved, and found {len(found)} times"
        return found[0]

    def statement(self, start: Millis, end: Millis) -> list[str]:
        """Give the ids of this trial's own transactions that a statement lists."""
        with self.begin() as repository:
            listed = list(repository.list_transactions("payme", start, end))
        return [each.transaction_id for each in listed if each.transaction_id.startswith(self.prefix)]

    def race(self, save: Callable[[int], object]) -> list[int]:
        """Let all rivals call `save` with their number at once, again after a Conflict; give those that got through."""
        rivals = self.storage.rivals
        barrier = Barrier(rivals)

        def run(number: int) -> bool:
            barrier.wait(timeout=60)
            for attempt in range(PATIENCE):
                try:
                    save(number)
                except Conflict:
                    time.sleep(0.002 * attempt)
                else:
                    return True
            return False

        with ThreadPoolExecutor(rivals) as pool:
            return [number for number, won in enumerate(pool.map(run, range(rivals))) if won]


class RepositoryLaws:
    """Tests for a repository: inherit, override `storage`, and name the class `Test…` so that pytest finds it."""

    @pytest.fixture
    def storage(self) -> Storage[Begin]:
        """Override this one: give the storage that the laws are tried on."""
        message = "override the fixture `storage`: return Storage(begin=…, accounts=[Known(fields, id)])"
        raise NotImplementedError(message)

    @pytest.fixture
    def trial(self, storage: Storage[Begin]) -> Trial:
        """Give each law ids of its own."""
        return Trial(storage)

    # 1. Keys compare byte for byte

    def test_ids_compare_byte_for_byte(self, trial: Trial) -> None:
        """Let no collation take one provider's id for another."""
        for spelling in SPELLINGS:
            name = trial.prefix + spelling
            assert not trial.find("payme", name), f"{name!r} was found before it was saved, by another spelling"
            trial.save(trial.birth(transaction_id=name))
        for spelling in SPELLINGS:
            found = [each.transaction_id for each in trial.find("payme", trial.prefix + spelling)]
            assert found == [trial.prefix + spelling], "an id finds the transaction of another spelling"

    def test_holds_compare_byte_for_byte(self, trial: Trial) -> None:
        """Let no collation take one account for another."""
        for spelling in SPELLINGS:
            hold = f"orders:{trial.prefix}{spelling}"
            assert not trial.find("payme", None, hold), f"{hold!r} was found before it was taken, by another spelling"
            trial.save(trial.birth(hold=hold))
        for spelling in SPELLINGS:
            hold = f"orders:{trial.prefix}{spelling}"
            found = [each.hold for each in trial.find("payme", None, hold)]
            assert found == [hold], "a hold finds the holder of another spelling"

    def test_long_keys_are_told_apart_to_the_last_character(self, trial: Trial) -> None:
        """Cut no key short: an id has up to 64 characters, a hold as many as the longest account's key."""
        long = trial.prefix + "ж" * (63 - len(trial.prefix))
        for last in "12":
            trial.save(trial.birth(transaction_id=long + last, hold=f"orders:{long}{last}"))
        for last in "12":
            found = trial.find("payme", long + last, f"orders:{long}{last}")
            assert [each.transaction_id for each in found] == [long + last], "a long key was cut"

    # 2. Ids are unique at each gateway, holds across all of them

    def test_an_id_is_stored_once(self, trial: Trial) -> None:
        """Refuse a second transaction of one id with a Conflict, whatever else differs."""
        first = trial.birth()
        stored = trial.save(first)
        again = trial.birth(transaction_id=first.after.transaction_id, amount_tiyin=1)
        with conflict("two transactions have one id; make (gateway, transaction_id) unique"):
            trial.save(again)
        assert trial.read(stored) == stored

    def test_an_id_may_stand_at_another_gateway(self, trial: Trial) -> None:
        """Know a transaction by gateway and id together."""
        ours = trial.save(trial.birth())
        theirs = trial.save(trial.birth(gateway="click", transaction_id=ours.transaction_id))
        assert trial.read(ours) == ours
        assert trial.read(theirs) == theirs

    def test_an_account_has_one_holder(self, trial: Trial) -> None:
        """Refuse a second holder with a Conflict, from the same gateway and from another."""
        holder = trial.save(trial.birth())
        for gateway in ("payme", "click"):
            rival = trial.birth(gateway=gateway, hold=holder.hold)
            with conflict(f"{holder.hold!r} is held twice; make `hold` unique, across gateways"):
                trial.save(rival)
            assert not trial.find(gateway, rival.after.transaction_id), "a refused transaction was stored"
        assert trial.find("payme", None, holder.hold) == [holder]

    def test_transactions_without_a_hold_stand_beside_each_other(self, trial: Trial) -> None:
        """Let an account be topped up by any number of transactions: None is not a hold."""
        stored = [trial.save(trial.birth(hold=None)) for _ in range(3)]
        assert [trial.read(each) for each in stored] == stored

    def test_a_released_hold_may_be_taken_again(self, trial: Trial) -> None:
        """Free an account with the cancel of an unpaid transaction, for the same database transaction already."""
        holder = trial.save(trial.birth())
        released = trial.save(holder.cancel(NOW + 1, Reason.DEBIT_FAILED))
        assert released.hold is None
        second = trial.save(trial.birth(hold=holder.hold))
        third = trial.birth(hold=holder.hold)
        trial.save(second.cancel(NOW + 2, Reason.TIMEOUT), third)
        assert [each.transaction_id for each in trial.find("payme", None, holder.hold)] == [third.after.transaction_id]

    def test_a_paid_or_refunded_account_stays_held_until_it_is_reopened(self, trial: Trial) -> None:
        """Keep the hold through payment and refund; `reopen` alone gives it up."""
        holder = trial.save(trial.birth())
        for move in ("perform", "cancel"):
            holder = trial.save(holder.perform(NOW + 1) if move == "perform" else holder.cancel(NOW + 2, Reason.REFUND))
            with conflict(f"{holder.hold!r} was taken from a transaction in state {holder.state.value}"):
                trial.save(trial.birth(hold=holder.hold))
        hold = holder.hold
        trial.save(holder.reopen(NOW + 3))
        assert trial.save(trial.birth(hold=hold)).hold == hold

    def test_rivals_for_one_account_leave_one_holder(self, trial: Trial) -> None:
        """Settle a race of threads by a unique key: a SELECT before the INSERT does not."""
        hold = f"orders:{trial.prefix}"
        births = [trial.birth(hold=hold) for _ in range(trial.storage.rivals)]
        winners = trial.race(lambda number: trial.save(births[number]))
        stored = [each for each in births if trial.find("payme", each.after.transaction_id)]
        assert len(stored) == 1, f"{len(stored)} transactions hold one account; make `hold` unique in the storage"
        assert [births[number] for number in winners] == stored, "a rival got through whose transaction is not there"

    def test_rivals_with_one_id_leave_one_transaction(self, trial: Trial) -> None:
        """Settle a race of one provider's repeated request."""
        name = f"{trial.prefix}race"
        births = [trial.birth(transaction_id=name, amount_tiyin=1 + number) for number in range(trial.storage.rivals)]
        winners = trial.race(lambda number: trial.save(births[number]))
        found = [each.amount_tiyin - 1 for each in trial.find("payme", name)]
        assert len(found) == 1, f"one id was stored {len(found)} times; make (gateway, transaction_id) unique"
        assert winners == found, "a rival got through whose transaction is not there"

    # 3. An update goes only where nobody wrote first

    def test_a_move_from_a_state_that_passed_is_a_conflict(self, trial: Trial) -> None:
        """Refuse a cancel of what was read before it was paid, and a payment of what was read before its cancel."""
        for first, second in permutations(("perform", "cancel")):
            seen = trial.save(trial.birth())
            moves = {"perform": seen.perform(NOW + 1), "cancel": seen.cancel(NOW + 2, Reason.DEBIT_FAILED)}
            stored = trial.save(moves[first])
            with conflict(f"{second} overwrote {first}; update only WHERE state and version are still those seen"):
                trial.save(moves[second])
            assert trial.read(stored) == stored

    def test_a_write_to_a_version_that_passed_is_a_conflict(self, trial: Trial) -> None:
        """Refuse what would undo another request's write even where the state is the same."""
        seen = trial.save(trial.birth(extra_data={"first": 1}))
        stored = trial.save(seen.amend(NOW + 1, extra_data={"first": 1, "second": 2}))
        with conflict("an amendment was lost; update only WHERE version is still the one seen"):
            trial.save(seen.amend(NOW + 2, extra_data={"first": 1, "third": 3}))
        with conflict("a move went past an amendment; update only WHERE version is still the one seen"):
            trial.save(seen.perform(NOW + 3))
        assert trial.read(stored) == stored

    def test_an_update_of_nothing_is_a_conflict(self, trial: Trial) -> None:
        """Refuse to update what was never stored, rather than store it or say nothing."""
        unsaved = replace(trial.birth().after, id=2**31 - 1)
        with conflict("an update that found no row was taken for done; check how many rows it changed"):
            trial.save(unsaved.perform(NOW + 1))
        assert not trial.find("payme", unsaved.transaction_id)

    def test_rivals_for_one_move_leave_one_winner(self, trial: Trial) -> None:
        """Settle a race of Perform and Cancel."""
        seen = trial.save(trial.birth())
        moves = [seen.cancel(NOW + 1 + number, number) for number in range(trial.storage.rivals)]
        moves[0] = seen.perform(NOW + 1)
        winners = trial.race(lambda number: trial.save(moves[number]))
        assert len(winners) == 1, f"{len(winners)} moves out of one state went through; compare state and version"
        assert trial.read(seen) == moves[winners[0]].after, "the move that went through is not the one stored"

    # 4. One database transaction commits or vanishes together

    def test_a_commit_keeps_everything(self, trial: Trial) -> None:
        """Keep all that one database transaction wrote: births, moves, and a move of what it has just born."""
        old = trial.save(trial.birth())
        with trial.begin() as repository:
            moved = repository.save(old.perform(NOW + 1))
            born = repository.save(trial.birth())
            paid = repository.save(repository.save(trial.birth()).perform(NOW + 2))
        assert [trial.read(each) for each in (moved, born, paid)] == [moved, born, paid]

    def test_a_failure_leaves_nothing(self, trial: Trial) -> None:
        """Roll back all of it, whatever is raised and however much was written, and raise the same on."""
        for raised in (ValueError("a hook failed"), Stopped("the task was cancelled")):
            old, birth = trial.save(trial.birth()), trial.birth()
            with pytest.raises(type(raised)) as caught, trial.begin() as repository:  # noqa: PT012 - raised inside it
                repository.save(birth)
                repository.save(old.perform(NOW + 1))
                raise raised
            assert caught.value is raised, "the failure came out as another one"
            assert not trial.find("payme", birth.after.transaction_id), "a new transaction outlived its rollback"
            assert not trial.find("payme", None, birth.after.hold), "a hold outlived its rollback"
            assert trial.read(old) == old, "a move outlived its rollback"

    def test_a_conflict_leaves_nothing(self, trial: Trial) -> None:
        """Roll back what was written before the conflict too."""
        holder, old, birth = trial.save(trial.birth()), trial.save(trial.birth()), trial.birth()
        with conflict("two transactions hold one account"):
            trial.save(birth, old.perform(NOW + 1), trial.birth(hold=holder.hold))
        assert not trial.find("payme", birth.after.transaction_id), "a write before the conflict was kept"
        assert trial.read(old) == old, "a move before the conflict was kept"
        assert trial.read(trial.save(birth)).hold == birth.after.hold, "the refused write still stands in the way"

    # What is read is what was saved

    def test_a_life_is_read_as_it_was_saved(self, trial: Trial) -> None:
        """Give back every field in every state, from `save` and from both ways to find."""
        for path in ((), ("perform",), ("cancel",), ("perform", "cancel")):
            saved = trial.save(trial.birth())
            for step, move in enumerate(path, start=1):
                later = NOW + step * 1001
                change = saved.perform(later) if move == "perform" else saved.cancel(later, -5017)
                saved = trial.save(change)
                assert saved == change.after, "`save` gives something else than it was given"
            assert trial.read(saved) == saved
            if saved.hold is not None:
                assert trial.find("payme", None, saved.hold) == [saved]

    def test_times_are_kept_to_the_millisecond(self, trial: Trial) -> None:
        """Drop no millisecond and move no time zone: the provider is told the same time again, for ever."""
        for moment in (NOW, 1_000_000_000_000, 1_000_000_000_001, 1_711_822_199_999, 4_102_444_799_999):
            saved = trial.save(trial.birth(create_time=moment, update_time=moment, provider_time=moment + 7))
            saved = trial.save(saved.perform(moment + 1))
            saved = trial.save(saved.cancel(moment + 2, Reason.REFUND))
            read = trial.read(saved)
            times = (read.create_time, read.perform_time, read.cancel_time, read.update_time, read.provider_time)
            assert times == (moment, moment + 1, moment + 2, moment + 2, moment + 7)
            assert all(type(each) is int for each in times)

    def test_a_transaction_may_have_no_provider_time(self, trial: Trial) -> None:
        """Keep None: Click sends no time of its own."""
        saved = trial.save(trial.birth(gateway="click", provider_time=None))
        assert trial.read(saved) == saved

    def test_amounts_are_exact(self, trial: Trial) -> None:
        """Keep every tiyin, of the smallest amount and of one with 18 digits."""
        for amount in (1, 435, 820, 99_999_999, 100_000_001, 2**53 + 1, 999_999_999_999_999_999):
            saved = trial.save(trial.birth(amount_tiyin=amount))
            read = trial.read(saved).amount_tiyin
            assert (read, type(read)) == (amount, int)

    def test_json_comes_back_as_it_went(self, trial: Trial) -> None:
        """Keep account, extra_data, fiscal data and receivers to the last type and character."""
        receivers = ({"id": "a", "amount": 1}, {"id": "ж", "amount": 499_999})
        saved = trial.save(trial.birth(account=VALUES, extra_data=dict(VALUES), receivers=receivers))
        saved = trial.save(saved.amend(NOW + 1, fiscal_perform=VALUES))
        saved = trial.save(saved.amend(NOW + 2, fiscal_cancel={"type": "CANCEL"}, extra_data={}))
        read = trial.read(saved)
        assert read == saved
        for name in ("account", "extra_data", "fiscal_perform", "fiscal_cancel", "receivers"):
            assert as_json(getattr(read, name)) == as_json(getattr(saved, name)), f"{name} changed"

    def test_account_id_keeps_its_type(self, trial: Trial) -> None:
        """Give the account's key back in its own type, so that a hook can compare it with the column."""
        for known in trial.storage.accounts:
            saved = trial.save(trial.birth(account_id=known.id))
            with trial.begin() as repository:
                listed = repository.list_transactions("payme", NOW - 1234, NOW - 1234)
            theirs = [each for each in listed if each.transaction_id == saved.transaction_id]
            for read in (trial.read(saved), *theirs):
                assert (read.account_id, type(read.account_id)) == (known.id, type(known.id))

    def test_what_is_read_is_detached(self, trial: Trial) -> None:
        """Store nothing that was not saved: what a hook does to the value it was given stays with that value."""
        saved = trial.save(trial.birth(extra_data={"kept": True}))
        with trial.begin() as repository:
            for read in repository.find_transactions("payme", saved.transaction_id, None, for_update=False):
                read.extra_data["smuggled"] = True
        assert trial.read(saved).extra_data == {"kept": True}

    # What is found

    def test_find_by_id_by_hold_or_both(self, trial: Trial) -> None:
        """Give each transaction once, whichever key found it; a key that is None finds nothing."""
        one, other = trial.save(trial.birth()), trial.save(trial.birth(gateway="click"))
        free = trial.save(trial.birth(hold=None))
        ids = one.transaction_id, other.transaction_id
        for keys, wanted in (
            (("payme", ids[0], None), {one.id}),
            (("payme", None, one.hold), {one.id}),
            (("payme", ids[0], one.hold), {one.id}),
            (("payme", ids[0], other.hold), {one.id, other.id}),
            (("payme", None, other.hold), {other.id}),
            (("payme", ids[1], None), set()),
            (("payme", ids[1], one.hold), {one.id}),
            (("payme", free.transaction_id, None), {free.id}),
            (("payme", f"{trial.prefix}none", f"orders:{trial.prefix}none"), set()),
            (("payme", None, None), set()),
        ):
            found = trial.find(*keys)
            assert len(found) == len(wanted), f"{keys} found {[each.transaction_id for each in found]}"
            assert {each.id for each in found} == wanted, f"{keys} found others"
        with trial.begin() as repository:
            assert list(repository.find_transactions("payme", ids[0], None, for_update=True)) == [one]

    def test_accounts_are_found_with_their_own_key(self, trial: Trial) -> None:
        """Find every known account, and None for a stranger."""
        with trial.begin() as repository:
            for known in trial.storage.accounts:
                account = repository.find_account(known.fields)
                assert account is not None, f"{known.fields} finds no account"
                # A driver may give a kind of its own: asyncpg's UUID is one.
                assert isinstance(account.id, type(known.id))
                assert account.id == known.id
            for fields in trial.storage.strangers:
                assert repository.find_account(fields) is None, f"{fields} finds an account"

    # What a statement lists

    def test_a_statement_lists_every_state_by_the_providers_time(self, trial: Trial) -> None:
        """List all four states, ascending by the provider's time, whatever the own clock said."""
        wanted = []
        for place, path in ((3, ()), (1, ("perform",)), (4, ("cancel",)), (2, ("perform", "cancel"))):
            own = NOW + 1000 * (5 - place)
            saved = trial.save(trial.birth(provider_time=NOW + place, create_time=own, update_time=own))
            for move in path:
                saved = trial.save(saved.perform(own) if move == "perform" else saved.cancel(own, 5))
            wanted.append((place, saved.transaction_id))
        trial.save(trial.birth(gateway="click", provider_time=NOW + 2))
        trial.save(trial.birth(provider_time=None))
        in_order = [name for _, name in sorted(wanted)]
        assert trial.statement(NOW + 1, NOW + 4) == in_order, "wrong rows or order"
        assert trial.statement(NOW + 2, NOW + 3) == in_order[1:3], "the ends are not exact"

    def test_a_statement_includes_both_ends(self, trial: Trial) -> None:
        """Include the first and the last millisecond, and not the next."""
        name = trial.save(trial.birth(provider_time=NOW)).transaction_id
        for start, end, there in (
            (NOW, NOW, True),
            (NOW - 1, NOW, True),
            (NOW, NOW + 1, True),
            (NOW + 1, NOW + 2, False),
            (NOW - 2, NOW - 1, False),
            (NOW + 1, NOW - 1, False),
        ):
            assert trial.statement(start, end) == [name] * there, f"from {start - NOW:+} to {end - NOW:+} ms"


class AsyncRepositoryLaws(RepositoryLaws):
    """The same laws for an `AsyncBegin`. The fixture `run` runs a coroutine on their loop: to set up, to take down."""

    @pytest.fixture
    def run(self) -> Iterator[Bridge]:
        """Give the loop on which the storage is used."""
        bridge = Bridge()
        yield bridge
        bridge.close()

    @pytest.fixture
    def trial(self, storage: Storage[AsyncBegin], run: Bridge) -> Trial:
        """Try the laws through the loop."""
        return Trial(bridged(storage, run))


def bridged(storage: Storage[AsyncBegin], bridge: Bridge) -> Storage[Begin]:
    """Give an async storage as a sync one."""
    return Storage(lambda: bridge.begin(storage.begin), storage.accounts, storage.strangers, storage.rivals)


class Stopped(BaseException):
    """Not an Exception, as a cancelled task's is not."""


@contextmanager
def conflict(otherwise: str) -> Iterator[None]:
    """Expect a Conflict; `otherwise` says what it means that none came."""
    try:
        yield
    except Conflict:
        return
    raise AssertionError(otherwise)


def as_json(value: object) -> str:
    """Write a value so that `True` and 1, or 1 and 1.0, are told apart."""
    return json.dumps(value, sort_keys=True)
