"""A storage against the model: stories of payments, told to both, that must agree after every line.

    TestPayme = payme_machine(begin, reset).TestCase      # pytest collects it

Hypothesis makes the stories up: calls that come twice, late, and between another's reading and writing; hooks that
fail or refuse; a clock that jumps. The real gateways decide, through the real engine, once on your storage and once on
`Memory`, the reference. Where an answer differs, or what is stored, the story is cut down to the lines that matter and
told in words that anybody who knows payments can follow.

`begin` opens a database transaction on your storage, and `reset` empties it. Accounts are not asked for: the stories
have two orders and a wallet of their own, with the primary keys `keys`, so make these in `reset` only where the
database insists. For an `AsyncBegin` give the `Bridge` on whose loop it lives; `reset` may be `async def` then.

Overlapping calls need no threads: one call is given what it would have read before the other wrote. A storage that
keeps its laws notices when it writes, and raises `Conflict`.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from itertools import permutations
from typing import Any, ClassVar, Final, TypeAlias

from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from hypothesis.strategies import sampled_from

from paytechuz_core.click import Click
from paytechuz_core.decision import MOVES, Event, Hook, Refused
from paytechuz_core.engine import handle, load
from paytechuz_core.hooks import Drafts, Fire
from paytechuz_core.memory import Memory
from paytechuz_core.money import Tiyin, tiyin_to_som
from paytechuz_core.payme import Payme
from paytechuz_core.repository import AsyncBegin, Begin, Conflict, Repository
from paytechuz_core.testing.bridge import Bridge
from paytechuz_core.testing.messages import CLICK, FIELD, KEY, PAYME, SERVICE, Message, Registers
from paytechuz_core.transaction import HALF_DAY, NAMES, Account, Change, Fields, Key, Millis, State, Transaction, alike

NOW: Final[Millis] = 1_763_900_123_457
"""A moment whose seconds and milliseconds are not round."""

NOTE: Final = {"note": "so‘m, сум", "count": 1, "share": 0.5, "deep": [None, True, {"": []}]}
"""What a hook writes into `extra_data`."""

Read: TypeAlias = dict[tuple[str, str | None, str | None], Sequence[Transaction]]
"""What was found, by what was asked."""


def payme_machine(
    begin: Begin | AsyncBegin,
    reset: Callable[[], Any],
    *,
    keys: Sequence[Key] = (1, 2, 3),
    bridge: Bridge | None = None,
) -> type[RuleBasedStateMachine]:
    """Make the state machine in which Payme calls; Click does sometimes, and is its rival."""
    return machine(PaymeStory, begin, reset, keys, bridge)


def click_machine(
    begin: Begin | AsyncBegin,
    reset: Callable[[], Any],
    *,
    keys: Sequence[Key] = (1, 2, 3),
    bridge: Bridge | None = None,
) -> type[RuleBasedStateMachine]:
    """Make the state machine in which Click calls; Payme does sometimes, and is its rival."""
    return machine(ClickStory, begin, reset, keys, bridge)


def machine(
    story: "type[Story]", begin: Any, reset: Callable[[], Any], keys: Sequence[Key], bridge: Bridge | None
) -> type[RuleBasedStateMachine]:
    """Give a story its storage."""
    storage = (begin, reset) if bridge is None else (lambda: bridge.begin(begin), lambda: bridge.wait(reset()))
    first, second, third = keys
    accounts = {
        "1": Account(id=first, amount_tiyin=435, hold="orders:1"),
        "2": Account(id=second, amount_tiyin=99_999_999, hold="orders:2"),
        "3": Account(id=third),
    }
    made = type(story.__name__, (story,), {"accounts": accounts, "own": storage})
    # It was made by whoever called us, and pytest shows it as theirs.
    made.__module__ = __name__
    return made


# What a story is made of


class Mood(StrEnum):
    """What the shop's own code does while a call is answered."""

    QUIET = ""
    NOTES = "the shop writes a note into extra_data"
    REOPENS = "the shop opens a refunded order again"
    REFUSES = "the shop refuses"
    FAILS = "the shop's hook raises an error"
    STOPS = "the task is cancelled while the shop's hook runs"


class HookError(Exception):
    """A hook's own."""


class Stopped(BaseException):
    """Not an Exception, as a cancelled task's is not."""


def behaving(mood: Mood) -> Fire:
    """Give the hooks of a shop in this mood."""

    def fire(event: Event, drafts: Drafts) -> Any:
        if event.hook is Hook.CAN_REVERSE:
            return mood is not Mood.REFUSES
        if event.hook is Hook.BEFORE_CHECK_PERFORM_TRANSACTION and mood is Mood.REFUSES:
            raise Refused({"ru": "Закрыто", "uz": "Yopiq", "en": "Closed"})
        if event.hook in MOVES and event.transaction is not None:
            told = drafts.open(event.transaction)
            if mood is Mood.FAILS:
                raise HookError
            if mood is Mood.STOPS:
                raise Stopped
            if mood is Mood.NOTES:
                told.extra_data[event.hook.value] = dict(NOTE)
            if mood is Mood.REOPENS and told.state is State.CANCELLED:
                drafts.reopen(told.gateway, told.transaction_id)
        return None

    return fire


SAYINGS: Final = {
    "CheckPerformTransaction": "Payme asks whether {account} may be paid{amount}",
    "CreateTransaction": "Payme creates {id} for {account}{amount}{time}",
    "PerformTransaction": "Payme performs {id}",
    "CancelTransaction": "Payme cancels {id}, reason {reason}",
    "CheckTransaction": "Payme checks {id}",
    "GetStatement": "Payme asks for a statement",
    "SetFiscalData": "Payme sends the receipt of {id}, of its {receipt}",
    "Prepare": "Click prepares {id} for {account}{amount}",
    "Complete": "Click completes {id}",
    "Abort": "Click gives up {id}",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a story: a call as it will be made, whatever the time is then."""

    method: str
    id: str = ""
    account: str = ""
    amount: Tiyin | None = None
    age: Millis = 0
    reason: int = 5
    mood: Mood = Mood.QUIET

    def message(self, accounts: Mapping[str, Account], now: Millis) -> Message:
        """Say it now."""
        price = accounts[self.account].amount_tiyin if self.account else None
        return Message(
            provider=CLICK if self.method in {"Prepare", "Complete", "Abort"} else PAYME,
            method=self.method,
            id=self.id,
            account=self.account,
            amount=self.amount or price or 820,
            time=now - self.age,
            reason=self.reason,
            paydoc=int(self.id) // 2 if self.id.isdigit() else 1,
            end=4 * 10**12,
        )

    def __str__(self) -> str:
        """Tell it."""
        account = f"{'wallet' if self.account == '3' else 'order'} {self.account}"
        amount = "" if self.amount is None else f", {tiyin_to_som(self.amount)} som"
        time = f", {self.age} ms old" if self.age else ""
        receipt = "payment" if self.reason > 0 else "refund"
        text = SAYINGS[self.method].format(
            id=self.id, account=account, amount=amount, time=time, reason=self.reason, receipt=receipt
        )
        return f"{text}; {self.mood.value}" if self.mood else text


IDS: Final = "A", "B", "a"
NUMBERS: Final = "1", "2", "3"
OLD: Final = 1, HALF_DAY, HALF_DAY + 1


def lines(method: str, ids: Iterable[str], accounts: Iterable[str] = ("",)) -> list[Line]:
    """Give the plain lines first, and often; then those in which the shop's own code has its moods."""
    plain = [Line(method, id, account) for account in accounts for id in ids]
    return [*plain, *plain, *plain, *(replace(line, mood=mood) for mood in Mood if mood for line in plain)]


def moves(pays: str, cancels: str, id: str) -> Iterator[tuple[Line, Line]]:
    """Let one transaction be moved by two calls."""
    paying, cancelling = Line(pays, id), Line(cancels, id)
    yield from permutations((paying, cancelling))
    yield paying, replace(paying, mood=Mood.NOTES)
    yield replace(cancelling, mood=Mood.NOTES), paying


# Lists, because what is drawn once is cut down quickly: a story's first lines are its simplest.
CREATES: Final = [
    *lines("CreateTransaction", IDS, "123"),
    *(Line("CreateTransaction", id, "1", age=age) for age in OLD for id in IDS),
    *(
        Line("CreateTransaction", id, account, amount)
        for id, account, amount in (("A", "1", 820), ("A", "3", 2**53 + 1))
    ),
]
PERFORMS: Final = lines("PerformTransaction", IDS)
CANCELS: Final = [replace(line, reason=reason) for reason in (5, 2) for line in lines("CancelTransaction", IDS)]
RECEIPTS: Final = [Line("SetFiscalData", id, reason=number) for number in (7, -7) for id in IDS]
LOOKS: Final = [
    Line("GetStatement"),
    *(Line("CheckTransaction", id) for id in IDS),
    *(
        Line("CheckPerformTransaction", "", account, mood=mood)
        for account in "13"
        for mood in (Mood.QUIET, Mood.REFUSES)
    ),
]
PREPARES: Final = [
    *lines("Prepare", NUMBERS, "123"),
    *(Line("Prepare", id, account, amount) for id, account, amount in (("1", "1", 820), ("1", "3", 2**53 + 1))),
]
COMPLETES: Final = lines("Complete", NUMBERS)
ABORTS: Final = lines("Abort", NUMBERS)
PAYMES: Final = [*CREATES, *PERFORMS, *CANCELS, *RECEIPTS, *LOOKS]
CLICKS: Final = [*PREPARES, *COMPLETES, *ABORTS]
MOODS: Final = [Mood.QUIET, Mood.QUIET, *Mood]

RIVALS: Final = [
    *(pair for account in "12" for pair in permutations([
        *(Line("CreateTransaction", id, account) for id in "AB"), *(Line("Prepare", id, account) for id in "12"),
    ], 2)),
    *(pair for id in IDS for pair in moves("PerformTransaction", "CancelTransaction", id)),
    *(pair for id in NUMBERS for pair in moves("Complete", "Abort", id)),
    *(pair for id in IDS for pair in permutations(line for line in RECEIPTS if line.id == id)),
]  # fmt: skip
"""Two calls of which each knows nothing of the other, and one must win."""

CLOCK: Final = {
    HALF_DAY + 1: "12 hours and a millisecond pass",
    HALF_DAY: "12 hours pass",
    1000: "A second passes",
    -3_600_000: "The clock jumps back an hour",
}


# The two that are told it


@dataclass(frozen=True, slots=True)
class Reader:
    """A repository that knows the story's accounts, and gives once more what was `read` before."""

    repository: Repository
    accounts: Mapping[str, Account]
    read: Read

    def find_transactions(
        self, gateway: str, transaction_id: str | None, hold: str | None, *, for_update: bool
    ) -> Sequence[Transaction]:
        """Give what was read before, or read."""
        asked = gateway, transaction_id, hold
        if asked not in self.read:
            self.read[asked] = self.repository.find_transactions(*asked, for_update=for_update)
        return self.read[asked]

    def find_account(self, fields: Fields) -> Account | None:
        """Give the story's account."""
        return self.accounts.get(fields[FIELD])

    def list_transactions(self, gateway: str, start: Millis, end: Millis) -> Sequence[Transaction]:
        """Read."""
        return self.repository.list_transactions(gateway, start, end)

    def save(self, change: Change) -> Transaction:
        """Write."""
        return self.repository.save(change)


@dataclass(slots=True)
class Shop:
    """One storage behind the gateways, and the conflicts that it had."""

    begin: Begin
    accounts: Mapping[str, Account]
    registers: Registers
    conflicts: list[str] = field(default_factory=list)

    def read(self, message: Message) -> Read:
        """Read what a call must know, and no more."""
        gateway, call = self.registers.read(message)
        read: Read = {}
        with self.begin() as repository:
            load(Reader(repository, self.accounts, read), replace(gateway.lookup(call), for_update=False))
        return read

    def answer(self, message: Message, mood: Mood, now: Millis, read: Read) -> bytes:
        """Answer a call that has `read` before; when it starts over, it reads anew."""
        gateway, call = self.registers.read(message)
        reads = iter((read,))

        @contextmanager
        def begin() -> Iterator[Repository]:
            try:
                with self.begin() as repository:
                    yield Reader(repository, self.accounts, next(reads, {}))
            except Conflict as conflict:
                self.conflicts.append(str(conflict))
                raise

        try:
            reply = handle(gateway, call, begin, behaving(mood), lambda: now, lambda _: None)
        except (HookError, Stopped):
            reply = gateway.fail(call)
        return gateway.render(call, reply)

    def stored(self, names: Iterable[tuple[str, str]]) -> "Stored":
        """Read all that is stored, in every way that there is."""
        with self.begin() as repository:
            return Stored(
                by_id={name: list(repository.find_transactions(*name, None, for_update=False)) for name in names},
                by_hold={
                    hold: sorted(
                        each.transaction_id
                        for each in repository.find_transactions(PAYME, None, hold, for_update=False)
                    )
                    for hold in (account.hold for account in self.accounts.values())
                    if hold is not None
                },
                statement=sorted(
                    each.transaction_id for each in repository.list_transactions(PAYME, 1, 4 * 10**12)
                ),
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stored:
    """What a storage gives back."""

    by_id: Mapping[tuple[str, str], Sequence[Transaction]]
    by_hold: Mapping[str, Sequence[str]]
    statement: Sequence[str]

    def faults(self, model: "Stored") -> Iterator[str]:
        """Say what is not as the model has it."""
        for name, rows in self.by_id.items():
            wanted, title = model.by_id[name], f"{name[0].title()}'s {name[1]}"
            if len(rows) != len(wanted):
                times = ("not stored", "stored")[min(len(rows), 1)] + (f" {len(rows)} times" if len(rows) > 1 else "")
                yield f"{title} is {times}, and should{'' if wanted else ' not'} be"
            for row, want in zip(rows, wanted, strict=False):
                for each in (one for one in NAMES if one != "id"):
                    given, right = getattr(row, each), getattr(want, each)
                    if not alike(given, right):
                        yield f"{title}: {each} is {told(given)}, and should be {told(right)}"
        for hold, holders in self.by_hold.items():
            if holders != model.by_hold[hold]:
                yield f"{hold} is held by {listed(holders)}, and should be by {listed(model.by_hold[hold])}"
        if self.statement != model.statement:
            yield f"a statement lists {listed(self.statement)}, and should list {listed(model.statement)}"


def told(value: object) -> str:
    """Write a value so that 5 and "5" are told apart."""
    return str(int(value)) if isinstance(value, IntEnum) else repr(value)


def listed(names: Sequence[str]) -> str:
    """Write some names."""
    return " and ".join(names) or "none"


def heard(answer: bytes) -> str:
    """Write an answer in a few words."""
    message = json.loads(answer)
    match message:
        case {"result": {"state": state}}:
            return f"state {state}"
        case {"result": {"transactions": rows}}:
            return f"{len(rows)} transactions"
        case {"result": {"allow": _}}:
            return "yes"
        case {"error": {"code": code}} | {"error": code}:
            return str(code)
        case _:
            return "done"


def comparable(answer: bytes) -> object:
    """Let rows of one time stand in any order in a statement; all else counts, byte for byte."""
    message = json.loads(answer)
    match message:
        case {"result": {"transactions": rows}}:
            return [row["time"] for row in rows], sorted(json.dumps(row, sort_keys=True) for row in rows)
        case _:
            return answer


class Story(RuleBasedStateMachine):
    """What both providers' stories share."""

    accounts: ClassVar[Mapping[str, Account]]
    own: ClassVar[tuple[Begin, Callable[[], Any]]]

    def __init__(self) -> None:
        """Begin with nothing stored."""
        super().__init__()
        begin, reset = self.own
        reset()

        def hold_for(fields: Fields) -> str | None:
            account = self.accounts.get(fields[FIELD])
            return None if account is None else account.hold

        registers = Registers(
            payme=Payme(keys=lambda: (KEY,), fields=(FIELD,), hold_for=hold_for),
            click=Click(secrets=lambda: (KEY,), service_id=SERVICE, field=FIELD, hold_for=hold_for),
        )
        model = Memory(lambda _: None)
        self.storage = Shop(begin, self.accounts, registers)
        self.model = Shop(model.begin, self.accounts, registers)
        self.now = NOW
        self.lines: list[str] = []
        self.last: tuple[Line, Message] | None = None
        self.attempts: dict[str, Line] = {}
        self.names: dict[tuple[str, str], None] = {}

    @rule(passed=sampled_from(list(CLOCK)))
    def time_passes(self, passed: Millis) -> None:
        """Let the clock go on, or jump."""
        self.now += passed
        self.lines.append(CLOCK[passed])

    @precondition(lambda self: self.last is not None)
    @rule(mood=sampled_from(MOODS))
    def the_last_call_comes_again(self, mood: Mood) -> None:
        """Repeat a call to the letter, as providers do that heard no answer."""
        if self.last is not None:
            line, message = self.last
            self.calls(replace(line, mood=mood), message, "the same again: ")

    @rule(pair=sampled_from(RIVALS))
    def rivals_meet(self, pair: tuple[Line, Line]) -> None:
        """Let two calls overlap that want the same."""
        self.calls_meanwhile(*pair)

    def call(self, line: Line) -> None:
        """Let a provider call."""
        line = self.whole(line)
        self.calls(line, line.message(self.accounts, self.now))

    def calls(self, line: Line, message: Message, before: str = "", reads: tuple[Read, Read] | None = None) -> None:
        """Tell one call to both, and compare what they answer and what they have stored."""
        self.last = line, message
        if message.id:
            self.names[message.provider, message.id] = None
        self.lines.append(f"{before}{line}")
        self.storage.conflicts.clear()
        self.model.conflicts.clear()
        self.now += 1
        reads = ({}, {}) if reads is None else reads
        with self.told_with_errors():
            right = self.model.answer(message, line.mood, self.now, reads[1])
            given = self.storage.answer(message, line.mood, self.now, reads[0])
            self.lines[-1] += f" → {heard(given)}"
            faults = list(self.storage.stored(self.names).faults(self.model.stored(self.names)))
        if comparable(given) != comparable(right):
            short = heard(given), heard(right)
            was, wanted = short if short[0] != short[1] else (given.decode(), right.decode())
            faults.insert(0, f"the answer is {was}, and should be {wanted}")
        if faults:
            raise AssertionError("\n".join(self.told([*faults, *self.hints(line)])))

    def calls_meanwhile(self, line: Line, other: Line) -> None:
        """Let a call read, another one come and go, and only then let the first one write."""
        line = self.whole(line)
        message = line.message(self.accounts, self.now)
        with self.told_with_errors():
            reads = self.storage.read(message), self.model.read(message)
        self.lines.append(f"{line}; but before the shop writes:")
        self.call(other)
        self.calls(line, message, "the first one goes on: ", reads)

    def whole(self, line: Line) -> Line:
        """Let Click speak of an attempt as it did when it prepared it."""
        if line.method == "Prepare":
            self.attempts[line.id] = line
        elif line.method in {"Complete", "Abort"}:
            known = self.attempts.get(line.id, Line("Prepare", line.id, "1"))
            return replace(line, account=known.account, amount=known.amount)
        return line

    @contextmanager
    def told_with_errors(self) -> Iterator[None]:
        """Tell the story where the storage raises what it should not."""
        try:
            yield
        except Exception as error:
            error.add_note("\n".join(self.told([f"the storage raises {type(error).__name__}"])))
            raise

    def hints(self, line: Line) -> Iterator[str]:
        """Say what the storage should have done in the last line."""
        if len(self.storage.conflicts) < len(self.model.conflicts):
            yield f"Here `save` must raise Conflict: {self.model.conflicts[-1]}."
        if line.mood in {Mood.FAILS, Mood.STOPS}:
            yield "Of a call that failed nothing may be stored: roll back whatever is raised, a BaseException too."

    def told(self, faults: Iterable[str]) -> Iterator[str]:
        """Tell the story up to here, and what is wrong."""
        yield "the storage is not as it should be after this story:"
        yield ""
        for number, line in enumerate(self.lines, start=1):
            yield f"  {number}. {line[0].upper()}{line[1:]}"
        yield ""
        for fault in faults:
            yield f"  {fault}"


class PaymeStory(Story):
    """Payme's stories."""

    @rule(line=sampled_from(CREATES))
    def payme_creates(self, line: Line) -> None:
        """Reserve an order."""
        self.call(line)

    @rule(line=sampled_from(PERFORMS))
    def payme_performs(self, line: Line) -> None:
        """Pay."""
        self.call(line)

    @rule(line=sampled_from(CANCELS))
    def payme_cancels(self, line: Line) -> None:
        """Give up, or back."""
        self.call(line)

    @rule(line=sampled_from([*RECEIPTS, *LOOKS, *CLICKS]))
    def another_call_comes(self, line: Line) -> None:
        """Ask, send a receipt, or be Click."""
        self.call(line)

    @rule(line=sampled_from(PAYMES), other=sampled_from([*PAYMES, *CLICKS]))
    def two_calls_overlap(self, line: Line, other: Line) -> None:
        """Call while another call is between reading and writing."""
        self.calls_meanwhile(line, other)


class ClickStory(Story):
    """Click's stories."""

    @rule(line=sampled_from(PREPARES))
    def click_prepares(self, line: Line) -> None:
        """Reserve an order."""
        self.call(line)

    @rule(line=sampled_from(COMPLETES))
    def click_completes(self, line: Line) -> None:
        """Pay."""
        self.call(line)

    @rule(line=sampled_from(ABORTS))
    def click_gives_up(self, line: Line) -> None:
        """Give up, or back."""
        self.call(line)

    @rule(line=sampled_from(PAYMES))
    def payme_calls(self, line: Line) -> None:
        """Be Payme."""
        self.call(line)

    @rule(line=sampled_from(CLICKS), other=sampled_from([*CLICKS, *PAYMES]))
    def two_calls_overlap(self, line: Line, other: Line) -> None:
        """Call while another call is between reading and writing."""
        self.calls_meanwhile(line, other)
