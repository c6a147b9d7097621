"""Payments under every fault, from a seed: the providers insist, the network and the process fail, the clock jumps.

A history is a list of events drawn from a seed. Providers send what they may send by what they have heard; whatever was
sent may arrive again, late and out of order. Requests go on step by step between each other; on the way they fail as a
database fails, their hooks raise, they are cut off, or the process dies and takes all with it; answers are lost; the
clock goes on by hours, or back. Then the faults stop, the providers insist until each has its answer, and the books
must agree: what was acknowledged, what is stored, what the hooks have done, what the statement says.

`simulate` plays a seed and raises `Failure` with a story as short as `shrunk` could make it. An event that makes no
sense where it stands does nothing, so any part of a history is a history.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeAlias

from paytechuz_core.decision import Refused
from paytechuz_core.engine import ahandle
from paytechuz_core.money import Tiyin
from paytechuz_core.repository import Conflict
from paytechuz_core.testing import invariants
from paytechuz_core.testing.invariants import Broken
from paytechuz_core.testing.messages import CLICK, PAYME, Message, Registers, click, payme
from paytechuz_core.testing.oracle import answer_of
from paytechuz_core.testing.steps import COMMITTED, Desk, Engine, Request, Storage, Work, in_memory
from paytechuz_core.transaction import HALF_DAY, Account, Millis, Transaction

PRICE: Final[Tiyin] = 500_000
ACCOUNTS: Final = {
    "A": Account(id="A", amount_tiyin=PRICE, hold="orders:A"),
    "B": Account(id="B", amount_tiyin=PRICE, hold="orders:B"),
    "W": Account(id="W"),
}
"""Two orders, and a wallet that may be topped up."""

Event: TypeAlias = tuple[Any, ...]
"""What happens: ("send", a payment's number, a method), ("step", …), ("clock", milliseconds), ("crash",), …"""

JUMPS: Final = (1000, 60_000, HALF_DAY // 3, HALF_DAY, HALF_DAY + 1, -1000, -HALF_DAY // 3, -2 * HALF_DAY)
LENGTH: Final = 60
"""Events in a history, before the faults stop."""

METHODS: Final = {
    PAYME: ("CheckPerform", "Create", "Create", "Create", "Perform", "Perform", "Perform", "Cancel", "Check", "Expire"),
    CLICK: ("Prepare", "Prepare", "Prepare", "Complete", "Complete", "Complete", "Abort"),
}
"""What a provider may think of sending, the usual more often."""

FAULTS: Final = ("fail", "fail", "hook", "refuse", "cut", "cut", "lose", "lose", "veto", "crash", "clock", "clock")


@dataclass(slots=True)
class Payment:
    """A payment as its provider knows it: what it has sent, and what it has heard."""

    provider: str
    id: str
    account: str
    sent: dict[str, Message] = field(default_factory=dict)
    heard: dict[str, object] = field(default_factory=dict)

    def message(self, method: str, now: Millis) -> Message | None:
        """Give what the provider sends, or None where it would not. What was sent may always come again."""
        if method not in self.sent:
            if not self._may(method):
                return None
            self.sent[method] = self._first(method, now)
        return self.sent[method]

    def _may(self, method: str) -> bool:
        given_up = {"Cancel", "Abort"} & self.sent.keys()
        match method:
            case "Create" | "Prepare":
                return not given_up
            case "Perform":
                return isinstance(self.heard.get("Create"), dict) and not given_up
            case "Complete":
                return self.heard.get("Prepare") == 0 and not given_up
            case "Cancel":
                return "Create" in self.sent and (self.paid or "Perform" not in self.sent or self.refused)
            case "Abort":
                return "Prepare" in self.sent and (self.paid or "Complete" not in self.sent)
            case _:
                return True

    def _first(self, method: str, now: Millis) -> Message:
        if self.provider == CLICK:
            return click(method, self.id, self.account, PRICE, paydoc=int(self.id) // 2)
        if method in {"Create", "CheckPerform"}:
            return payme(method, "" if method == "CheckPerform" else self.id, self.account, PRICE, time=now)
        return payme(method, self.id)

    @property
    def paid(self) -> bool:
        """Tell whether the provider was told that the shop has the money."""
        return isinstance(self.heard.get("Perform"), dict) or self.heard.get("Complete") in {0, -4}

    @property
    def refused(self) -> bool:
        """Tell whether the provider was told that it cannot pay."""
        return isinstance(self.heard.get("Perform"), int)

    @property
    def returned(self) -> bool:
        """Tell whether the provider has the money back, or never gave it."""
        return isinstance(self.heard.get("Cancel"), dict) or self.heard.get("Abort") == -9

    def hear(self, method: str, answer: object) -> str | None:
        """Hear an answer; a result heard before must be the same again. Gives what is wrong, or None."""
        before = self.heard.get(method)
        if isinstance(before, dict) and isinstance(answer, dict) and before != answer and method in RESULTS:
            return f"{method} {self.id} was answered {before}, and now {answer}"
        if isinstance(answer, dict) or not isinstance(before, dict):
            self.heard[method] = answer
        return None


RESULTS: Final = {"Create", "Perform", "Cancel"}
FINAL: Final = {"Create": "create_time", "Perform": "perform_time", "Cancel": "cancel_time"}
"""The time by which each of Payme's results is known for ever."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is put to the test: gateways, storage and engine, each of which may be your own or a broken one."""

    registers: Registers = field(default_factory=Registers)
    storage: Storage = in_memory
    engine: Engine = ahandle


class Simulation:
    """One history as it goes on."""

    def __init__(self, seed: int, trial: Trial, *, telling: bool = False) -> None:
        self.telling = telling
        self.dice = Random(seed)
        begin, self.stored = trial.storage(ACCOUNTS, ())
        self.desk = Desk(begin, trial.registers, engine=trial.engine, on_commit=self._committed)
        self.payments = tuple(self._payments())
        self.flying: list[tuple[int, str, Request]] = []
        self.lost: list[Request] = []
        self.story: list[str] = []

    def _payments(self) -> Iterator[Payment]:
        # Three on one order, so that they are rivals; the others anywhere.
        for number in range(5):
            account = "A" if number < 3 else self.dice.choice(("A", "B", "W"))
            provider = self.dice.choice((PAYME, CLICK))
            yield Payment(provider, f"p{number}" if provider == PAYME else str(number + 1), account)

    def _committed(self, work: Work) -> None:
        if work.changes:
            for broken in invariants.of_what_is_stored(self.stored(), BY_KEY):
                raise Broken(broken)

    def _tell(self, line: str, *about: object) -> None:
        # Only the few histories that fail are ever told.
        if self.telling:
            self.story.append(line.format(*about))

    # What happens

    def draw(self) -> Event:
        """Draw the next event."""
        dice = self.dice
        if self.flying and dice.random() < 0.68:
            number, method, _ = self.flying[int(dice.random() * len(self.flying))]
            return "step", number, method
        if dice.random() < 0.3:
            match FAULTS[int(dice.random() * len(FAULTS))]:
                case "clock":
                    return "clock", JUMPS[int(dice.random() * len(JUMPS))]
                case "crash":
                    return ("crash",)
                case fault if self.flying:
                    number, method, _ = self.flying[int(dice.random() * len(self.flying))]
                    return fault, number, method
                case _:  # nothing is on its way that could fail
                    pass
        number = int(dice.random() * len(self.payments))
        methods = METHODS[self.payments[number].provider]
        return "send", number, methods[int(dice.random() * len(methods))]

    def happen(self, event: Event) -> bool:
        """Let an event happen; False where it makes no sense."""
        self.desk.now += 7
        match event:
            case "clock", millis:
                self.desk.now += millis
                self._tell("the clock jumps by {:+.3f} hours", millis / 3_600_000)
                return True
            case ("crash",):
                self._crash()
                return True
            case "send", number, method:
                return len(self.flying) < 4 and self._send(number, method)
            case kind, number, method:
                for flying in self.flying:
                    if flying[:2] == (number, method):
                        self._go_on(kind, flying)
                        return True
                return False
            case _:
                return False

    def _send(self, number: int, method: str) -> bool:
        message = self.payments[number].message(method, self.desk.now)
        if message is None:
            return False
        request = Request(self.desk, message)
        self.flying.append((number, method, request))
        self._tell("{}: arrives", message)
        request.step()
        return True

    def _go_on(self, kind: str, flying: tuple[int, str, Request]) -> None:
        request = flying[2]
        where = "after the commit" if request.at == COMMITTED else f"before {request.at}"
        match kind:
            case "step":
                self._tell("{}: {}", request.message, request.at)
                request.step()
            case "fail":
                self._tell("{}: the database fails {}", request.message, where)
                request.fail(Conflict("simulated"))
            case "cut":
                self._tell("{}: is cut off {}", request.message, where)
                request.crash()
                self.lost.append(request)
            case "lose":
                self.lost.append(request)
                self._tell("{}: its answer will be lost", request.message)
            case "hook":
                self._tell("{}: its hook will raise", request.message)
                request.failing = RuntimeError("simulated")
            case "refuse":
                self._tell("{}: its hook will refuse", request.message)
                request.failing = Refused("simulated")
            case _:  # veto
                self._tell("{}: the shop will take nothing back", request.message)
                request.vetoed = True
        if request.done:
            self.flying.remove(flying)
            self._answer(*flying)

    def _answer(self, number: int, method: str, request: Request) -> None:
        if request in self.lost:
            self.lost.remove(request)
            return
        if request.error is not None:
            self._tell("{}: is answered a system error, {}", request.message, request.error)
            return
        answer = answer_of(request.reply)
        self._tell("{}: is answered {}", request.message, answer)
        payment = self.payments[number]
        wrong = payment.hear(method, answer)
        waits = any((row.transaction_id, row.state) == (payment.id, 1) for row in self.stored())
        if answer == -31008 and waits and not request.refused:
            wrong = f"{request.message} is answered {answer}, and the transaction waits on"
        if wrong is not None:
            raise Broken(wrong)

    def _crash(self) -> None:
        self._tell("the process dies")
        for _, _, request in self.flying:
            request.crash()
        self.flying.clear()
        self.lost.clear()

    # When the faults stop

    def calm(self) -> None:
        """Let the faults stop: the providers insist, each has its answer, and the books agree."""
        if self.flying:
            self._crash()
        self._tell("the faults stop, and the providers insist")
        for payment in self.payments:
            for method in self._insisting(payment):
                self._insist(payment, method)
        self._audit()

    def _insisting(self, payment: Payment) -> Iterator[str]:
        first, pay, back = (
            ("Create", "Perform", "Cancel") if payment.provider == PAYME else ("Prepare", "Complete", "Abort")
        )
        sent = payment.sent.keys()
        if first not in sent:
            return
        if pay in sent:
            yield pay
        elif back not in sent:
            yield first
            yield pay if payment.message(pay, self.desk.now) is not None else back
        if back in sent or not (payment.paid or pay in sent) or payment.refused:
            yield back

    def _insist(self, payment: Payment, method: str) -> None:
        message = payment.message(method, self.desk.now)
        if message is None:
            return
        self.desk.now += 7
        self._tell("{}: arrives", message)
        request = Request(self.desk, message)
        while not request.step():
            pass
        if request.error is not None:
            wrong = f"{message} has no answer though nothing fails: {request.error!r}"
            raise Broken(wrong)
        answer = answer_of(request.reply)
        self._tell("{}: is answered {}", message, answer)
        if (differs := payment.hear(method, answer)) is not None:
            raise Broken(differs)

    def _audit(self) -> None:
        rows = {(row.gateway, row.transaction_id): row for row in self.stored()}
        for payment in self.payments:
            for broken in self._of_a_payment(payment, rows.get((payment.provider, payment.id))):
                raise Broken(broken)
        money = sum(row.amount_tiyin for row in rows.values() if row.state == 2)
        effects = Counter(self.desk.effects)
        by_effects = sum(
            row.amount_tiyin * (effects["successfully_payment", row.transaction_id] - (row.state == -2))
            for row in rows.values()
        )
        believed = sum(PRICE for payment in self.payments if payment.paid and not payment.returned)
        if not money == by_effects == believed:
            wrong = f"the shop has {money}, its hooks count {by_effects}, the providers gave {believed}"
            raise Broken(wrong)
        self._audit_statement([row for row in rows.values() if row.gateway == PAYME])

    def _of_a_payment(self, payment: Payment, row: Transaction | None) -> Iterator[str]:
        effects = Counter(hook for hook, id in self.desk.effects if id == payment.id)
        expected = Counter[str]()
        if row is not None:
            expected["transaction_created"] = 1
            expected["successfully_payment"] = int(row.perform_time is not None)
            expected["cancelled_payment"] = int(row.state < 0)
        if effects != expected:
            yield f"{payment.id} is {row and row.state!r}, and its hooks were told {dict(effects)}"
        if (payment.paid and not payment.returned) != (row is not None and row.state == 2):
            yield f"the provider of {payment.id} believes that it is paid: {payment.paid}; it is {row and row.state!r}"
        for method, stamp in FINAL.items():
            answer = payment.heard.get(method)
            if isinstance(answer, dict) and (row is None or getattr(row, stamp) != answer[stamp]):
                yield f"{method} {payment.id} was acknowledged as {answer}, and stored is {row}"

    def _audit_statement(self, rows: Sequence[Transaction]) -> None:
        request = Request(self.desk, payme("GetStatement"))
        listed = request.finish()["transactions"]
        given = sorted((each["id"], each["state"], each["amount"]) for each in listed)
        if given != sorted((row.transaction_id, row.state.value, row.amount_tiyin) for row in rows):
            wrong = f"the statement gives {given}"
            raise Broken(wrong)


BY_KEY: Final[Mapping[object, Account]] = {each.id: each for each in ACCOUNTS.values()}


class Failure(Broken):
    """A history that breaks a rule: its seed, its shortest form, and the story that it tells."""

    def __init__(self, seed: int, rule: str, events: Sequence[Event], story: Sequence[str]) -> None:
        lines = (f"  {number}. {line}" for number, line in enumerate(story, 1))
        super().__init__("\n".join((f"seed {seed}: {rule}", *lines)))
        self.seed = seed
        self.rule = rule
        self.events = tuple(events)
        self.story = tuple(story)


def simulate(seed: int, trial: Trial, length: int = LENGTH) -> int:
    """Play a seed's history; raise `Failure` where a rule is broken. Gives the number of events that happened."""
    simulation = Simulation(seed, trial)
    events: list[Event] = []
    happened = 0
    try:
        for _ in range(length):
            events.append(simulation.draw())
            happened += simulation.happen(events[-1])
        simulation.calm()
    except (Broken, ValueError) as broken:
        raise shrunk(seed, events, str(broken), trial) from None
    return happened


def replayed(seed: int, events: Sequence[Event], trial: Trial) -> tuple[str, Simulation]:
    """Play events again; give the rule that is broken, or an empty text."""
    simulation = Simulation(seed, trial, telling=True)
    try:
        for event in events:
            simulation.happen(event)
        simulation.calm()
    except (Broken, ValueError) as broken:
        return str(broken), simulation
    return "", simulation


def shrunk(seed: int, events: Sequence[Event], rule: str, trial: Trial) -> Failure:
    """Leave out what the failure does not need: halves, quarters, …, single events, until nothing more can go."""
    left, size = list(events), len(events)
    while size > 0:
        fewer_left = without(left, size, lambda fewer: bool(replayed(seed, fewer, trial)[0]))
        # Single events once more whenever one could go: what stood before it may be needless now.
        size = size // 2 if size > 1 or len(fewer_left) == len(left) else 1
        left = fewer_left
    broken, simulation = replayed(seed, left, trial)
    return Failure(seed, broken or rule, left, simulation.story)


def without(events: Sequence[Event], size: int, fails: Callable[[Sequence[Event]], bool]) -> list[Event]:
    """Leave out every piece of `size` events without which it fails still."""
    left, start = list(events), 0
    while start < len(left):
        fewer = left[:start] + left[start + size :]
        if fails(fewer):
            left = fewer
        else:
            start += size
    return left
