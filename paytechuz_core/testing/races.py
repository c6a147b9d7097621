"""Every race of two requests: all the ways their steps can meet, each of which must end as some serial order.

Two requests stop before everything they do to what they share: each read, each write, the commit. Each schedule, a
list of whose turn it is, is played from the same start; what is answered and what is stored must be what comes of one
after the other. Requests that lose start over within their own steps, as in life.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Any, Final, TypeAlias

from paytechuz_core.engine import ahandle
from paytechuz_core.testing.explore import PRICE, Model, explore
from paytechuz_core.testing.invariants import Broken
from paytechuz_core.testing.messages import CLICK, PAYME, Message, Registers, click, payme
from paytechuz_core.testing.steps import Desk, Engine, Request, Storage, in_memory
from paytechuz_core.transaction import Account, Transaction

Outcome: TypeAlias = tuple[tuple[str, str], tuple[str, ...], tuple[Any, ...]]
"""Both answers, what is stored, and the effects that are committed."""


@dataclass(frozen=True, slots=True)
class Race:
    """Two messages that arrive at once at a shop where `rows` are stored.

    `storage` makes a storage that has them; give your own to race on it.
    """

    rows: tuple[Transaction, ...]
    messages: tuple[Message, Message]
    accounts: Mapping[str, Account]
    registers: Registers
    storage: Storage = in_memory
    engine: Engine = ahandle

    def __str__(self) -> str:
        """Tell who meets where."""
        stored = ", ".join(f"{row.transaction_id} in state {row.state.value}" for row in self.rows) or "nothing"
        one, other = self.messages
        return f"a. {one}\nb. {other}\nmeet where {stored} is stored"

    def serial(self) -> tuple[Outcome, Outcome]:
        """Give what comes of one after the other, both ways."""
        first, _ = self.played([0] * 99)
        second, _ = self.played([1] * 99)
        return first, second

    def played(self, schedule: Sequence[int]) -> tuple[Outcome, list[int]]:
        """Play one schedule, and give its outcome and whose turn it really was; the first goes on where it ends."""
        begin, stored = self.storage(self.accounts, self.rows)
        desk = Desk(begin, self.registers, engine=self.engine)
        requests = [Request(desk, message) for message in self.messages]
        for request in requests:
            go_on(request)
        taken: list[int] = []
        while alive := [turn for turn in (0, 1) if not requests[turn].done]:
            wanted = schedule[len(taken)] if len(taken) < len(schedule) else alive[0]
            turn = wanted if wanted in alive else alive[0]
            if len(alive) == 2:
                taken.append(turn)
            go_on(requests[turn])
        answers = (spoken(requests[0]), spoken(requests[1]))
        rows = tuple(sorted(repr(replace(row, id=None)) for row in stored()))
        return (answers, rows, tuple(sorted(desk.effects))), taken

    def schedules(self) -> Iterator[tuple[Outcome, list[int]]]:
        """Play every schedule there is: each way to choose whose turn it is while both are on their way."""
        prefix: list[int] | None = []
        while prefix is not None:
            outcome, taken = self.played(prefix)
            yield outcome, taken
            # The last turn that was the first's becomes the second's; all before it stay, all after it are free.
            last = next((place for place in reversed(range(len(taken))) if taken[place] == 0), None)
            prefix = None if last is None else [*taken[:last], 1]


ENOUGH: Final = 5000
"""Schedules of one race: ten times what the longest has. Requests that always lose would go on for ever."""

SHARED: Final = {"find_transactions", "list_transactions", "save", "commit"}
"""The stops before which it matters who goes first; accounts do not change during a race."""


def go_on(request: Request) -> None:
    """Go on to the next thing that matters."""
    while not request.step() and request.at not in SHARED:
        pass


def spoken(request: Request) -> str:
    """Write out what a request was answered."""
    return repr(request.reply if request.error is None else request.error)


def every_schedule_is_serial(race: Race) -> int:
    """Raise `Broken` unless each schedule ends as a serial order does. Gives how many there were."""
    try:
        return judged(race)
    except Broken as broken:
        told = f"{broken}\n{race}"
        raise Broken(told) from None


def judged(race: Race) -> int:
    """Play every schedule; give how many there were, or raise what is wrong with one."""
    serial, count = race.serial(), 0
    for outcome, taken in race.schedules():
        count += 1
        if outcome not in serial:
            turns = "".join("ab"[turn] for turn in taken)
            message = f"turns {turns} end as no serial order does: {outcome}\na, b: {serial[0]}\nb, a: {serial[1]}"
            raise Broken(message)
        if count > ENOUGH:
            message = "they start over without end"
            raise Broken(message)
    return count


def of_one_order(registers: Registers) -> list[tuple[Transaction, ...]]:
    """Give every situation that a payment of Payme and an attempt of Click can bring one order into."""
    explored = explore(Model({"p1": PAYME, "1": CLICK}, registers=registers, checks=()))
    return [rows for rows in explored.rows if all(row.account_id == "A" for row in rows)]


def pairs() -> list[tuple[Message, Message]]:
    """Give every pair of what may be said of that order, by its own transactions and by newcomers."""
    return list(combinations_with_replacement(RIVALS, 2))


RIVALS: Final = (
    *(payme("Create", id, "A", PRICE) for id in ("p1", "p2")),
    *(payme(method, "p1") for method in ("Perform", "Cancel", "Check", "SetFiscalData", "Expire")),
    payme("SetFiscalData", "p1", reason=-1),
    payme("CheckPerform", "", "A", PRICE),
    payme("GetStatement"),
    *(click(method, "1", "A", PRICE) for method in ("Prepare", "Complete", "Abort")),
    click("Prepare", "2", "A", PRICE),
)
"""What may meet, two at a time."""
