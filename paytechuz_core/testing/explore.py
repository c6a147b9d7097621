"""The model check: every state that a few transactions can reach, every message in each, every rule on every edge.

Breadth first, so the first violation comes with a shortest story that leads to it. Nothing here is made up: a state is
what the gateways' own decisions have stored, one after another, from an empty shop.

Two stored situations are the same *state* when they differ only in what no decision looks at: the exact times, as long
as each unpaid transaction is as far from its limit. A tick is six hours and a millisecond, so an unpaid transaction is
new, still in time, or late. Every state is kept as it was first reached, with its real times, relative to a clock that
always shows NOW. `verify_twins` is the proof that this forgets nothing: what first reached a state and what last
reached it must go on alike.

Ids and orders are only ever compared for equality. `symmetric` takes states that are renamings of each other for one
(where the two accounts are alike); without it every one is visited, and a test holds the two against each other.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import permutations
from random import Random
from typing import Any, Final, TypeAlias

from paytechuz_core.decision import Decision, Hook
from paytechuz_core.engine import load
from paytechuz_core.repository import Conflict
from paytechuz_core.testing import invariants, oracle
from paytechuz_core.testing.invariants import Broken
from paytechuz_core.testing.messages import CLICK, NOW, PAYME, Message, Registers, click, payme
from paytechuz_core.testing.oracle import Situation
from paytechuz_core.transaction import HALF_DAY, Account, Change, Fields, Millis, Transaction

PRICE: Final = 500_000
ORDERS: Final = {
    "A": Account(id="A", amount_tiyin=PRICE, hold="orders:A"),
    "B": Account(id="B", amount_tiyin=PRICE, hold="orders:B"),
}
WITH_A_WALLET: Final = {**ORDERS, "B": Account(id="B")}
"""The same with an account that may be topped up for the second order."""

TICK: Final[Millis] = HALF_DAY // 2 + 1
SLOW: Final[Millis] = -1
"""How far another server's clock is behind ours: enough to stamp what happens later with an earlier time. A larger jump
would make a state of every distance to the limit; the simulator makes large ones."""

CASTS: Final = (
    {"p1": PAYME, "p2": PAYME, "p3": PAYME},
    {"p1": PAYME, "p2": PAYME, "3": CLICK},
    {"p1": PAYME, "2": CLICK, "3": CLICK},
    {"1": CLICK, "2": CLICK, "3": CLICK},
)
"""Three transactions by their ids, of every mixture of the providers."""

Rows: TypeAlias = tuple[Transaction, ...]
StateKey: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Shelf:
    """A repository for one decision: it reads `rows`, keeps to the laws, and has no rivals."""

    accounts: Mapping[str, Account]
    rows: Rows

    def find_transactions(
        self, gateway: str, transaction_id: str | None, hold: str | None, *, for_update: bool
    ) -> Sequence[Transaction]:
        """Find by id or by hold."""
        del for_update
        return [
            row
            for row in self.rows
            if (row.transaction_id == transaction_id and row.gateway == gateway)
            or (hold is not None and row.hold == hold)
        ]

    def find_account(self, fields: Fields) -> Account | None:
        """Ask the shop."""
        return self.accounts.get(fields["order_id"])

    def list_transactions(self, gateway: str, start: Millis, end: Millis) -> Sequence[Transaction]:
        """Give a statement."""
        rows = [row for row in self.rows if row.gateway == gateway and start <= (row.provider_time or 0) <= end]
        return sorted(rows, key=lambda row: row.provider_time or 0)

    def save(self, change: Change) -> Transaction:
        """Refuse: `saved` gives what would be stored."""
        raise NotImplementedError

    def saved(self, changes: Iterable[Change]) -> Rows:
        """Give the rows with `changes` written, or raise `Conflict` by the laws."""
        rows = list(self.rows)
        for change in changes:
            before, after = change.before, change.after
            if before is None:
                if any((row.gateway, row.transaction_id) == (after.gateway, after.transaction_id) for row in rows):
                    message = f"{after.transaction_id} is stored already"
                    raise Conflict(message)
                rows.append(after)
            else:
                rows[rows.index(before)] = after
            if after.hold is not None and sum(row.hold == after.hold for row in rows) > 1:
                message = f"{after.hold} is held by another transaction"
                raise Conflict(message)
        return tuple(rows)


@dataclass(frozen=True, slots=True)
class Edge:
    """A message in a state, what was decided, and what is stored then."""

    situation: Situation
    rule: oracle.Rule
    decision: Decision[Any]
    after: Rows


class Violation(Broken):
    """A rule that does not hold, and the story that leads there."""

    def __init__(self, rule: str, story: Sequence[str]) -> None:
        super().__init__("\n".join((rule, *(f"  {number}. {line}" for number, line in enumerate(story, 1)))))
        self.rule = rule
        self.story = tuple(story)


def decide(registers: Registers, situation: Situation) -> Edge:
    """Take the way of the engine through one message, without a storage: read, decide, ask, write."""
    gateway, call = registers.read(situation.message)
    shelf = Shelf(situation.accounts, situation.rows)
    decision = gateway.decide(call, load(shelf, gateway.lookup(call)), situation.now)
    for ask in decision.asks:
        answer = not situation.vetoed if ask.hook is Hook.CAN_REVERSE else None
        decision = gateway.amend(call, decision, ask, answer)
    return Edge(situation, situation.rule, decision, shelf.saved(decision.changes))


# What must hold on every edge

Check: TypeAlias = Callable[[Edge, Registers], Iterator[str]]


def agrees_with_the_oracle(edge: Edge, registers: Registers) -> Iterator[str]:
    """Answer, write and tell what the second reading of the rules says."""
    del registers
    if (difference := oracle.wrong(edge.situation, edge.rule, edge.decision, edge.after)) is not None:
        yield difference


def keeps_the_invariants(edge: Edge, registers: Registers) -> Iterator[str]:
    """Keep what must be true of moves, of what is stored, of what is told, and of time."""
    del registers
    changes = edge.decision.changes
    yield from invariants.of_what_is_told(changes, edge.decision.events)
    if not changes:
        return
    for change in changes:
        yield from invariants.of_a_move(change.before, change.after)
        yield from invariants.of_time(change, edge.situation.now)
    yield from invariants.of_what_is_stored(edge.after, {each.id: each for each in edge.situation.accounts.values()})


LOOKS: Final = {"CheckPerformTransaction", "CheckTransaction", "GetStatement"}
REPEATED: Final = {"Complete": -4}
"""What a provider is told when it repeats what was done; all others are told the same again."""


def writes_only_its_own(edge: Edge, registers: Registers) -> Iterator[str]:
    """Write nothing by looking, nothing for other parameters, and nothing of another order."""
    del registers
    situation, changes = edge.situation, edge.decision.changes
    own, message = situation.own, situation.message
    if changes and message.method in LOOKS:
        yield f"{message} writes"
    named = message.account if own is None else oracle.named_account(own)
    for change in changes:
        if oracle.named_account(change.after) != named:
            yield f"{message} writes into a transaction of another order"
    if own is not None and message.account and message.method not in LOOKS and changes:
        same = message.account == oracle.named_account(own) and message.amount == own.amount_tiyin
        if not same:
            yield f"{message} has other parameters than what is stored, and writes"


def answers_a_repetition_alike(edge: Edge, registers: Registers) -> Iterator[str]:
    """Answer the same message the same again, even two hours later, and write and tell nothing new."""
    situation = edge.situation
    if not edge.decision.changes:
        return  # nothing was written, so the same message meets the very same state
    later = replace(situation, rows=edge.after, now=situation.now + 2 * 60 * 60 * 1000)
    if oracle_lateness(later) != oracle_lateness(replace(later, now=situation.now)):
        later = replace(later, now=situation.now)
    again = decide(registers, later).decision
    first, second = oracle.answer_of(edge.decision.reply), oracle.answer_of(again.reply)
    if situation.message.method == "Expire":
        first = {}
    if again.changes or any(event.hook.value in set(invariants.TELLERS.values()) for event in again.events):
        yield f"{situation.message}, repeated, writes or tells again"
    if second != REPEATED.get(situation.message.method, first):
        yield f"{situation.message} is answered {first}, and repeated {second}"


def oracle_lateness(situation: Situation) -> bool:
    """Tell whether the message's transaction is late."""
    return situation.own is not None and oracle.late(situation.own, situation.now)


CHECKS: Final[tuple[Check, ...]] = (
    agrees_with_the_oracle,
    keeps_the_invariants,
    writes_only_its_own,
    answers_a_repetition_alike,
)


# What may happen in a state


@dataclass(frozen=True, slots=True)
class Model:
    """What is explored: transactions by id with their providers, a shop's accounts, and the gateways."""

    cast: Mapping[str, str]
    accounts: Mapping[str, Account] = field(default_factory=lambda: ORDERS)
    registers: Registers = field(default_factory=Registers)
    symmetric: bool = False
    checks: tuple[Check, ...] = CHECKS
    _messages: dict[str, tuple[Message, ...]] = field(default_factory=dict)

    def messages(self) -> tuple[Message, ...]:
        """Give every message that can be sent, in any state."""
        if "all" not in self._messages:
            self._messages["all"] = tuple(self._every_message())
        return self._messages["all"]

    def _every_message(self) -> Iterator[Message]:
        for id, provider in self.cast.items():
            yield from about_a_payme_id(id) if provider == PAYME else about_a_click_id(id)
        if PAYME in self.cast.values():
            yield from (payme("CheckPerform", "", account, PRICE) for account in ("A", "B", "", "unknown"))
            yield payme("CheckPerform", "", "A", PRICE - 1)
            yield payme("GetStatement")

    def key(self, rows: Rows) -> StateKey:
        """Give what a decision can tell of `rows`."""
        classes = [class_of(row) for row in rows]
        if not self.symmetric:
            return tuple(sorted((row.transaction_id, *each) for row, each in zip(rows, classes, strict=True)))
        swapped = [("B" if account == "A" else "A", *rest) for account, *rest in classes]
        return min(tuple(sorted(classes)), tuple(sorted(swapped)))

    def orbit(self, rows: Rows) -> int:
        """Count the states that are renamings of this one: what `symmetric` saves."""
        classes = {row.transaction_id: class_of(row) for row in rows}
        seen = set()
        ids = tuple(self.cast)
        for order in permutations(ids):
            if any(self.cast[one] != self.cast[other] for one, other in zip(ids, order, strict=True)):
                continue
            for swap in (False, True):
                renamed = {
                    (other, ("B" if classes[one][0] == "A" else "A", *classes[one][1:]) if swap else classes[one])
                    for one, other in zip(ids, order, strict=True)
                    if one in classes
                }
                seen.add(frozenset(renamed))
        return len(seen)


def class_of(row: Transaction) -> tuple[Any, ...]:
    """Give what a decision can tell of one transaction."""
    age = 0
    if row.state == 1:
        born = row.create_time if row.provider_time is None else min(row.provider_time, row.create_time)
        age = min((NOW - born) // TICK, 2)
    return row.account_id, row.gateway, row.state.value, age, row.hold is not None, row.reason or 0


def about_a_payme_id(id: str) -> Iterator[Message]:
    """Give everything that Payme, or our sweep, may say of a transaction."""
    yield from (payme("Create", id, account, PRICE) for account in ("A", "B", "unknown"))
    yield payme("Create", id, "A", PRICE - 1)
    yield from (payme("Create", id, account, PRICE, time=NOW - HALF_DAY + SLOW - 1) for account in ("A", "B"))
    yield payme("Perform", id)
    yield payme("Cancel", id)
    yield payme("Check", id)
    yield payme("SetFiscalData", id)
    yield payme("SetFiscalData", id, reason=-1)
    yield payme("Expire", id)


def about_a_click_id(id: str) -> Iterator[Message]:
    """Give everything that Click may say of an attempt; the first two attempts are at one payment."""
    paydoc = max(int(id), 2)
    for method in ("Prepare", "Complete", "Abort"):
        yield from (click(method, id, account, PRICE, paydoc=paydoc) for account in ("A", "B"))
        yield click(method, id, "A", PRICE - 1, paydoc=paydoc)
        yield click(method, id, "unknown", PRICE, paydoc=paydoc)
    yield click("Prepare", id, "A", PRICE, paydoc=paydoc, aborts=True)
    yield click("Complete", id, "A", PRICE, paydoc=paydoc, prepare_id=999_999_999)
    yield click("Abort", id, "A", PRICE, paydoc=paydoc, prepare_id=999_999_999)


def passed(rows: Rows, millis: Millis) -> Rows:
    """Let time pass: the clock always shows NOW, so all that was is so much earlier."""
    return tuple(
        replace(
            row,
            **{
                name: getattr(row, name) - millis
                for name in ("create_time", "update_time", "provider_time", "perform_time", "cancel_time")
                if getattr(row, name) is not None
            },
        )
        for row in rows
    )


def reopened(rows: Rows) -> Iterator[tuple[str, Rows]]:
    """Let the merchant reopen each refunded order."""
    for row in rows:
        if row.state == -2 and row.hold is not None:
            change = row.reopen(NOW)
            yield f"the shop reopens {row.account_id}", tuple(change.after if each is row else each for each in rows)


# The search


@dataclass(slots=True)
class Explored:
    """What was seen."""

    states: int = 0
    edges: int = 0
    orbits: int = 0
    rows: list[Rows] = field(default_factory=list)
    rules: set[oracle.Rule] = field(default_factory=set)
    twins: list[tuple[Rows, Rows]] = field(default_factory=list)


def explore(model: Model, empty: Rows = ()) -> Explored:
    """Visit every reachable state and check every edge; raise `Violation` with the story at the first that is wrong."""
    found = Explored(states=1, orbits=1)
    stories: dict[StateKey, tuple[StateKey | None, str]] = {model.key(empty): (None, "")}
    first, last = {model.key(empty): empty}, {model.key(empty): empty}
    queue = deque([empty])
    while queue:
        rows = queue.popleft()
        here = model.key(rows)
        for line, after in successors(model, rows, found, partial(story_of, stories, here)):
            key = model.key(after)
            last[key] = after
            if key not in first:
                first[key] = after
                stories[key] = here, line
                found.states += 1
                found.orbits += model.orbit(after) if model.symmetric else 1
                queue.append(after)
    found.rows = list(first.values())
    found.twins = [(rows, last[key]) for key, rows in first.items() if last[key] != rows]
    return found


def successors(
    model: Model, rows: Rows, found: Explored, story: Callable[[], Sequence[str]]
) -> Iterator[tuple[str, Rows]]:
    """Give every next situation of `rows`, checked, and the line that leads to it."""
    for edge, skewed in edges(model, rows, story):
        found.edges += 1
        found.rules.add(edge.rule)
        for broken in (broken for check in model.checks for broken in check(edge, model.registers)):
            raise Violation(broken, (*story(), line_of(edge, skewed=skewed)))
        # Receipts are checked and not followed: no decision looks at them.
        if edge.decision.changes and edge.situation.message.method != "SetFiscalData":
            yield line_of(edge, skewed=skewed), edge.after
    if any(row.state == 1 for row in rows):
        found.edges += 1
        yield "six hours pass", passed(rows, TICK)
    for line, after in reopened(rows):
        found.edges += 1
        yield line, after


def line_of(edge: Edge, *, skewed: bool) -> str:
    """Tell what happened on an edge."""
    veto = ", and the shop takes nothing back" if edge.situation.vetoed else ""
    return f"{edge.situation.message}{veto}{', on a clock that is slow' if skewed else ''}"


def edges(model: Model, rows: Rows, story: Callable[[], Sequence[str]]) -> Iterator[tuple[Edge, bool]]:
    """Decide every message: now, on a slow clock where it may write, and with a shop that takes nothing back.

    Where nothing is written and nothing waits, a slow clock is as good as another.
    """
    for message in model.messages():
        situation = Situation(message, rows, model.accounts, NOW)
        try:
            edge = decide(model.registers, situation)
            yield edge, False
            if message.method in LOOKS:
                continue
            if edge.decision.changes or any(row.state == 1 for row in rows):
                yield decide(model.registers, replace(situation, now=NOW + SLOW)), True
            if any(ask.hook is Hook.CAN_REVERSE for ask in edge.decision.asks):
                yield decide(model.registers, replace(situation, vetoed=True)), False
        except (Conflict, ValueError) as error:
            raise Violation(repr(error), (*story(), str(message))) from error


def story_of(stories: Mapping[StateKey, tuple[StateKey | None, str]], key: StateKey | None) -> list[str]:
    """Tell how a state was reached."""
    lines: list[str] = []
    while key is not None:
        key, line = stories[key]
        lines += [line] if line else []
    return lines[::-1]


def verify_twins(model: Model, found: Explored) -> int:
    """Show that the state is all that matters: two situations of one state have the same futures. Gives how many.

    Not for a `symmetric` model, whose twins may bear other names.
    """
    for one, other in found.twins:
        futures = [
            [
                (edge.rule, tuple(oracle.written_by(edge.decision, edge.situation.message)), model.key(edge.after))
                for edge, _ in edges(model, rows, list)
            ]
            for rows in (one, other)
        ]
        if futures[0] != futures[1]:
            message = f"one state, two futures: {one} and {other}"
            raise AssertionError(message)
    return len(found.twins)


# What is too wide to visit all of it

JUMPS: Final = (1, -1, TICK, HALF_DAY, HALF_DAY + 1, -TICK, -2 * HALF_DAY, 1000, -1000)
"""How the clock goes on in a random walk; it may jump back."""


def wander(model: Model, seed: int, length: int) -> Explored:
    """Walk at random through what `explore` leaves out: any clock, orders that close and open again, receipts kept."""
    dice = Random(seed)
    found, story = Explored(), [f"seed {seed}"]
    rows: Rows = ()
    accounts, now = dict(model.accounts), NOW
    for _ in range(length):
        now += dice.choice(JUMPS) if dice.random() < 0.2 else dice.randrange(1000)
        if dice.random() < 0.1:
            name = dice.choice(("A", "B"))
            accounts[name] = replace(accounts[name], payable=not accounts[name].payable)
        message = dice.choice(model.messages())
        if message.method == "CreateTransaction":
            message = replace(message, time=now - dice.choice((0, 0, 1, HALF_DAY, HALF_DAY + 1)))
        situation = Situation(message, rows, accounts, now, vetoed=dice.random() < 0.2)
        story.append(f"{message} at {now}")
        edge = decide(model.registers, situation)
        found.edges += 1
        found.rules.add(edge.rule)
        for broken in (broken for check in model.checks for broken in check(edge, model.registers)):
            raise Violation(broken, story)
        rows = edge.after
        for _, after in reopened(rows) if dice.random() < 0.1 else ():
            rows = after
    return found
