"""The providers' rules a second time, as one table.

Written from the providers' documents and our rulings where they are silent, not from the gateways, and in another
shape: a gateway branches, this is looked up. Whatever a gateway decides about a message, the oracle must have said.

A situation is a set of facts, such as "known", "state 1", "late". The first row of the message's method whose facts
all hold is the rule: what is answered, what is written, which hooks are told. Payme's numbers are errors, Click's are
codes; `1→2` is a move of the message's own transaction, `holder` stands before a move of whoever held its account.

Facts about the message's own transaction: unknown, known, state N, late, other amount, other account (than stored),
other id (Click's prepare id). Facts about its account: no account, wrong amount, closed by the shop, and what holds it:
held, held late, held by payme, held by click, paid, refunded. And: old (a new transaction's time is past the limit
already), aborted (a Prepare with Click's negative error), vetoed (the shop lets nothing be reversed), same receipt.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from paytechuz_core.decision import Decision
from paytechuz_core.testing.messages import CLICK, PAYME, Message, prepared
from paytechuz_core.transaction import Account, Millis, Transaction

LIMIT: Final[Millis] = 43_200_000

TABLE: Final = """
method                  | facts                        | answer     | writes                      | tells

CheckPerformTransaction | no account                   | -31050     |                             |
CheckPerformTransaction | wrong amount                 | -31001     |                             |
CheckPerformTransaction | closed                       | -31052     |                             |
CheckPerformTransaction | paid                         | -31052     |                             |
CheckPerformTransaction | refunded                     | -31052     |                             |
CheckPerformTransaction | held late                    | allowed    |                             |
CheckPerformTransaction | held                         | -31051     |                             |
CheckPerformTransaction |                              | allowed    |                             |

CreateTransaction       | known, other amount          | -31001     |                             |
CreateTransaction       | known, other account         | -31050     |                             |
CreateTransaction       | state 2                      | -31008     |                             |
CreateTransaction       | state -1                     | -31008     |                             |
CreateTransaction       | state -2                     | -31008     |                             |
CreateTransaction       | state 1, late                | -31008     | 1→-1 timeout                | cancelled
CreateTransaction       | state 1                      | created    |                             | exists
CreateTransaction       | no account                   | -31050     |                             |
CreateTransaction       | wrong amount                 | -31001     |                             |
CreateTransaction       | closed                       | -31052     |                             |
CreateTransaction       | paid                         | -31052     |                             |
CreateTransaction       | refunded                     | -31052     |                             |
CreateTransaction       | held late, old               | -31008     |                             |
CreateTransaction       | held late                    | created    | holder 1→-1 timeout, born   | cancelled, created
CreateTransaction       | held                         | -31051     |                             |
CreateTransaction       | old                          | -31008     |                             |
CreateTransaction       |                              | created    | born                        | created

PerformTransaction      | unknown                      | -31003     |                             |
PerformTransaction      | state 1, late                | -31008     | 1→-1 timeout                | cancelled
PerformTransaction      | state 1                      | performed  | 1→2                         | paid
PerformTransaction      | state 2                      | performed  |                             |
PerformTransaction      | state -1                     | -31008     |                             |
PerformTransaction      | state -2                     | -31008     |                             |

CancelTransaction       | unknown                      | -31003     |                             |
CancelTransaction       | state 1                      | cancelled  | 1→-1 as asked               | cancelled
CancelTransaction       | state 2, vetoed              | -31007     |                             |
CancelTransaction       | state 2                      | cancelled  | 2→-2 as asked               | cancelled
CancelTransaction       | state -1                     | cancelled  |                             |
CancelTransaction       | state -2                     | cancelled  |                             |

CheckTransaction        | unknown                      | -31003     |                             |
CheckTransaction        | known                        | checked    |                             | checked

GetStatement            |                              | statement  |                             | statement

SetFiscalData           | unknown                      | -32001     |                             |
SetFiscalData           | same receipt                 | success    |                             |
SetFiscalData           | known                        | success    | receipt                     |

Expire                  | state 1, late                | success    | 1→-1 timeout                | cancelled
Expire                  |                              | nothing    |                             |

Prepare                 | known, other account         | -8         |                             |
Prepare                 | known, other amount          | -2         |                             |
Prepare                 | state 2                      | -4         |                             |
Prepare                 | state -1                     | -9         |                             |
Prepare                 | state -2                     | -9         |                             |
Prepare                 | state 1, aborted             | -9         |                             |
Prepare                 | state 1                      | 0          |                             | exists
Prepare                 | no account                   | -5         |                             |
Prepare                 | aborted                      | -9         |                             |
Prepare                 | paid                         | -4         |                             |
Prepare                 | refunded                     | -5         |                             |
Prepare                 | closed                       | -5         |                             |
Prepare                 | wrong amount                 | -2         |                             |
Prepare                 | held by click                | 0          | holder 1→-1 superseded, born| cancelled, created
Prepare                 | held late                    | 0          | holder 1→-1 timeout, born   | cancelled, created
Prepare                 | held                         | -9         |                             |
Prepare                 |                              | 0          | born                        | created

Complete                | unknown, no account          | -5         |                             |
Complete                | unknown                      | -6         |                             |
Complete                | other id                     | -6         |                             |
Complete                | other account                | -6         |                             |
Complete                | other amount                 | -2         |                             |
Complete                | state 2                      | -4         |                             |
Complete                | state -1                     | -9         |                             | conflict
Complete                | state -2                     | -9         |                             | conflict
Complete                | state 1                      | 0          | 1→2                         | paid

Abort                   | unknown, no account          | -5         |                             |
Abort                   | unknown                      | -6         |                             |
Abort                   | other id                     | -6         |                             |
Abort                   | other account                | -6         |                             |
Abort                   | other amount                 | -2         |                             |
Abort                   | state 1                      | -9         | 1→-1 as asked               | cancelled
Abort                   | state 2, vetoed              | -4         |                             |
Abort                   | state 2                      | -9         | 2→-2 as asked               | cancelled
Abort                   | state -1                     | -9         |                             |
Abort                   | state -2                     | -9         |                             |
"""

TOLD: Final = {
    "cancelled": "cancelled_payment",
    "created": "transaction_created",
    "exists": "transaction_already_exists",
    "paid": "successfully_payment",
    "checked": "check_transaction",
    "statement": "get_statement",
    "conflict": "payment_conflict",
}
"""The hooks by the table's words for them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    method: str
    facts: frozenset[str]
    answer: str
    writes: tuple[str, ...]
    tells: tuple[str, ...]

    def __str__(self) -> str:
        """Write the row as it stands in the table."""
        return f"{self.method} | {', '.join(sorted(self.facts))} | {self.answer}"


def rules(table: str = TABLE) -> Iterator[Rule]:
    """Read the table, without its heading."""
    for line in table.strip().splitlines()[1:]:
        if line:
            method, facts, answer, writes, tells = (cell.strip() for cell in line.split("|"))
            yield Rule(method, frozenset(listed(facts)), answer, listed(writes), listed(tells))


def listed(cell: str) -> tuple[str, ...]:
    """Split a cell."""
    return tuple(item.strip() for item in cell.split(",") if item.strip())


RULES: Final = tuple(rules())


@cache
def rule_for(method: str, facts: frozenset[str]) -> Rule:
    """Give the first rule of a method whose facts all hold."""
    return next(rule for rule in RULES if rule.method == method and rule.facts <= facts)


@dataclass(frozen=True, slots=True)
class Situation:
    """A message that arrives at a shop: what is stored there, its accounts, its clock, and whether it takes back."""

    message: Message
    rows: tuple[Transaction, ...]
    accounts: Mapping[str, Account]
    now: Millis
    vetoed: bool = False

    @property
    def rule(self) -> Rule:
        """The rule for it."""
        return rule_for(self.message.method, frozenset(self.facts()))

    @property
    def own(self) -> Transaction | None:
        """The transaction that the message names."""
        named = self.message.provider, self.message.id
        return next((row for row in self.rows if (row.gateway, row.transaction_id) == named), None)

    @property
    def holder(self) -> Transaction | None:
        """Whoever else holds the message's account."""
        account = self.accounts.get(self.message.account)
        if account is None:
            return None
        own, payment = self.own, (self.message.account, str(self.message.paydoc))
        for row in self.rows:
            if row is own or row.hold is None:
                continue
            if account.hold is not None and row.account_id == account.id:
                return row
            # A wallet may be topped up by many, but by one attempt at each payment of Click's.
            if account.hold is None and self.message.provider == row.gateway == CLICK and payment == paid_by(row):
                return row
        return None

    def facts(self) -> Iterator[str]:
        """Say what is so."""
        own, message = self.own, self.message
        yield from ("vetoed",) if self.vetoed else ()
        yield from ("aborted",) if message.error else ()
        if own is None:
            yield "unknown"
        else:
            yield from ("known", f"state {own.state.value}")
            yield from ("late",) if late(own, self.now) else ()
            yield from ("other amount",) if message.amount != own.amount_tiyin else ()
            yield from ("other account",) if message.account != named_account(own) else ()
            receipt = {"receipt_id": abs(message.reason)}
            kept = own.fiscal_perform if message.reason > 0 else own.fiscal_cancel
            yield from ("same receipt",) if kept == receipt else ()
        if message.provider == CLICK and message.prepare_id not in (None, prepared(message.id)):
            yield "other id"
        yield from self._facts_of_the_account()
        if message.provider == PAYME and self.now - message.time > LIMIT:
            yield "old"

    def _facts_of_the_account(self) -> Iterator[str]:
        account = self.accounts.get(self.message.account)
        if account is None:
            yield "no account"
            return
        price = account.amount_tiyin
        if self.message.amount != price if price is not None else self.message.amount <= 0:
            yield "wrong amount"
        if not account.payable:
            yield "closed"
        holder = self.holder
        if holder is None:
            return
        yield {1: "held", 2: "paid", -2: "refunded"}[holder.state]
        if holder.state == 1:
            yield f"held by {holder.gateway}"
            yield from ("held late",) if late(holder, self.now) else ()


def late(row: Transaction, now: Millis) -> bool:
    """Tell whether an unpaid transaction is past the limit: by Payme's time, or by ours where that is earlier."""
    born = min(time for time in (row.provider_time, row.create_time) if time is not None)
    return row.state == 1 and now - born > LIMIT


def named_account(row: Transaction) -> str:
    """Give the account that a stored transaction named."""
    account = row.account
    return str(account["order_id"] if row.gateway == PAYME else account["merchant_trans_id"])


def paid_by(row: Transaction) -> tuple[str, str]:
    """Give the account and the payment that an attempt of Click's is at."""
    return row.account["merchant_trans_id"], row.account["click_paydoc_id"]


def wrong(situation: Situation, rule: Rule, decision: Decision[Any], stored: Iterable[Transaction]) -> str | None:
    """Compare a decision with the rule for its situation, and say what is wrong with it, or None.

    `decision` is the gateway's after the merchant was asked, `stored` what is stored once it is saved.
    """
    own = replace(situation, rows=tuple(stored)).own
    told = tuple(event.hook.value for event in decision.events)
    for what, mine, its in (
        ("answers", answer_by(rule, own, situation), answer_of(decision.reply)),
        ("writes", rule.writes, tuple(written_by(decision, situation.message))),
        ("tells", tuple(TOLD[word] for word in rule.tells), told),
    ):
        if mine != its:
            return f"{situation.message}: {what} {its}, and the rule [{rule}] says {mine}"
    return None


def answer_by(rule: Rule, own: Transaction | None, situation: Situation) -> object:
    """Write out what the rule says is answered, with its numbers."""
    match rule.answer:
        case "allowed":
            return {"allow": True}
        case "success":
            return {"success": True}
        case "nothing":
            return {}
        case "statement":
            window = [
                row
                for row in situation.rows
                if row.gateway == PAYME and situation.message.start <= (row.provider_time or 0) <= situation.message.end
            ]
            return {"transactions": [listing(row) for row in sorted(window, key=lambda row: row.provider_time or 0)]}
        case "created" | "performed" | "cancelled" | "checked" as name if own is not None:
            return {member: stamp(own, member) for member in MEMBERS[name]}
        case number:
            return int(number)


MEMBERS: Final = {
    "created": ("create_time", "transaction", "state"),
    "performed": ("transaction", "perform_time", "state"),
    "cancelled": ("transaction", "cancel_time", "state"),
    "checked": ("create_time", "perform_time", "cancel_time", "transaction", "state", "reason"),
}
"""The members of Payme's results."""


def stamp(row: Transaction, member: str) -> object:
    """Give a member of a result as Payme wants it: unset times are 0, an unset reason is null."""
    match member:
        case "transaction":
            return row.transaction_id
        case "state" | "reason":
            return getattr(row, member)
        case _:
            return getattr(row, member) or 0


def listing(row: Transaction) -> dict[str, object]:
    """Give a row of a statement."""
    known = {member: stamp(row, member) for member in MEMBERS["checked"]}
    return {
        "id": row.transaction_id,
        "time": row.provider_time,
        "amount": row.amount_tiyin,
        "account": row.account,
        **known,
    }


def answer_of(reply: Any) -> object:
    """Reduce a gateway's reply to what the table speaks of: a number, or a result."""
    if isinstance(reply, dict):
        return reply
    return reply.code if isinstance(reply.code, int) else reply.code.number


def written_by(decision: Decision[Any], message: Message) -> Iterator[str]:
    """Name every write of a decision as the table does."""
    for before, after in ((change.before, change.after) for change in decision.changes):
        if before is None:
            yield "born"
        elif before.state == after.state:
            yield "receipt"
        else:
            mine = (after.gateway, after.transaction_id) == (message.provider, message.id)
            why = "" if after.state > 0 else " " + reason_of(after, message)
            yield f"{'' if mine else 'holder '}{before.state.value}→{after.state.value}{why}"


def reason_of(row: Transaction, message: Message) -> str:
    """Name why a transaction was cancelled."""
    asked = message.error if message.provider == CLICK else message.reason
    if (row.gateway, row.transaction_id) == (message.provider, message.id) and row.reason == asked:
        return "as asked"
    return {4: "timeout", -9999: "superseded"}.get(row.reason or 0, f"by {row.reason}")
