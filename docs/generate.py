"""Fill in what docs/reference/ says of the code, so that it cannot say anything else: `make docs`.

A page is ordinary Markdown. What stands between `<!-- generated: NAME -->` and `<!-- end -->` is computed here: replies
by `decide` and `parse` of Payme and Click, states from TRANSITIONS, errors from their lists, settings from those that
Django's adapter knows. The rest is written by hand.
"""  # noqa: INP001 - a program beside the pages that it fills

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from paytechuz_core.click import Click
from paytechuz_core.click.calls import COMPLETE, PREPARE
from paytechuz_core.click.calls import Call as ClickCall
from paytechuz_core.click.codes import Code
from paytechuz_core.click.gateway import SUPERSEDED
from paytechuz_core.decision import Decision, Event, Hook, Refused, Rejected, Snapshot
from paytechuz_core.inbound import BODY_LIMIT, Inbound
from paytechuz_core.payme import Payme, errors
from paytechuz_core.payme.calls import METHODS, Call
from paytechuz_core.payme.errors import ERRORS, Error
from paytechuz_core.payme.replies import Reply
from paytechuz_core.testing import ClickTill
from paytechuz_core.transaction import HALF_DAY, TRANSITIONS, Account, Change, Reason, State, Transaction, create
from paytechuz_django.settings import ENVIRONMENT, KNOWN

REFERENCE: Final = Path(__file__).parent / "reference"
REGION: Final = re.compile(r"(<!-- generated: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Fill in every page."""
    for path in sorted(REFERENCE.glob("*.md")):
        path.write_text(filled(path.read_text()))


def filled(text: str) -> str:
    """Give a page with all its regions computed."""
    return REGION.sub(lambda region: f"{region[1]}\n{REGIONS[region[2]]()}\n\n{region[3]}", text)


# Situations that the gateway is asked about

NOW: Final = 1_700_000_000_000
PRICE: Final = 500_000
FIELDS: Final = {"id": "42"}
ORDER: Final = Account(id=42, amount_tiyin=PRICE, hold="orders:42")
WALLET: Final = Account(id=42)
PAYME: Final = Payme(keys=lambda: ["key"], minimum=1_000, maximum=1_000_000, changes_password=True)


def begin(*, age: int = 1000, transaction_id: str = "A") -> Transaction:
    """Give an unpaid transaction of that age."""
    born = NOW - age
    return create(
        now=born, gateway="payme", transaction_id=transaction_id, account=ORDER, amount_tiyin=PRICE, received=FIELDS,
        provider_time=born,
    ).after  # fmt: skip


def stages(transaction_id: str = "A") -> dict[str, Transaction]:
    """Give one transaction at every stage of its life."""
    fresh = begin(transaction_id=transaction_id)
    paid = fresh.perform(NOW).after
    return {
        "1": fresh,
        "1, past 12 hours": begin(age=HALF_DAY + 1, transaction_id=transaction_id),
        "2": paid,
        "−1": fresh.cancel(NOW, Reason.DEBIT_FAILED).after,
        "−2": paid.cancel(NOW, Reason.REFUND).after,
    }


STAGES: Final = stages()
OTHERS: Final = stages("B")


def call(method: str, **params: Any) -> Call:
    """Build a call as `parse` does."""
    return Call(1, METHODS[method].model_validate(params), params)


def create_call(amount: int = PRICE, account: Mapping[str, Any] = FIELDS, *, age: int = 0) -> Call:
    """Build a CreateTransaction."""
    return call("CreateTransaction", id="A", time=NOW - age, amount=amount, account=account)


def check_call(amount: int = PRICE, account: Mapping[str, Any] = FIELDS) -> Call:
    """Build a CheckPerformTransaction."""
    return call("CheckPerformTransaction", amount=amount, account=account)


PERFORM: Final = call("PerformTransaction", id="A")
CANCEL: Final = call("CancelTransaction", id="A", reason=Reason.REFUND.value)
CHECK: Final = call("CheckTransaction", id="A")
BLANK_PASSWORD: Final = call("ChangePassword", password=" ")  # noqa: S106 - what a hook would be spared
FISCAL: Final = call("SetFiscalData", id="A", type="PERFORM", fiscal_data={"receipt_id": 1})

ABOUT_A_TRANSACTION: Final[Mapping[str, Call]] = {
    "CreateTransaction": create_call(),
    "CreateTransaction, another amount": create_call(PRICE + 1),
    "CreateTransaction, another account": create_call(account={"id": "43"}),
    "PerformTransaction": PERFORM,
    "CancelTransaction": CANCEL,
    "CheckTransaction": CHECK,
    "SetFiscalData": FISCAL,
}


def of_order(holder: Transaction | None = None, *, payable: bool = True) -> Snapshot:
    """Say what is known of an order."""
    return Snapshot(account=replace(ORDER, payable=payable), holder=holder)


ABOUT_AN_ORDER: Final[Mapping[str, tuple[int, Mapping[str, Any], Snapshot]]] = {
    "awaits payment": (PRICE, FIELDS, of_order()),
    "another amount": (PRICE + 1, FIELDS, of_order()),
    "the account field is missing or blank": (PRICE, {"id": " "}, Snapshot()),
    "unknown": (PRICE, FIELDS, Snapshot()),
    "unknown, and another amount": (PRICE + 1, FIELDS, Snapshot()),
    "closed by the shop (`is_payable`)": (PRICE, FIELDS, of_order(payable=False)),
    "held by another transaction in state 1": (PRICE, FIELDS, of_order(OTHERS["1"])),
    "held, and another amount": (PRICE + 1, FIELDS, of_order(OTHERS["1"])),
    "held by one past 12 hours": (PRICE, FIELDS, of_order(OTHERS["1, past 12 hours"])),
    "paid": (PRICE, FIELDS, of_order(OTHERS["2"])),
    "an earlier attempt was cancelled (−1)": (PRICE, FIELDS, of_order()),
    "refunded (−2)": (PRICE, FIELDS, of_order(OTHERS["−2"])),
    "refunded and reopened": (PRICE, FIELDS, of_order()),
}

ABOUT_A_WALLET: Final[Mapping[str, tuple[int, Account]]] = {
    "from `minimum` to `maximum`": (PRICE, WALLET),
    "below `minimum`": (PAYME.minimum - 1, WALLET),
    "above `maximum`": ((PAYME.maximum or 0) + 1, WALLET),
    "closed by the shop (`is_payable`)": (PRICE, replace(WALLET, payable=False)),
}

KEY: Final = {"authorization": "Basic " + b64encode(b"Paycom:key").decode()}
BODY: Final = b'{"id": 1, "method": "CheckTransaction", "params": {"id": "A"}}'

NO_CALL: Final[Mapping[str, Inbound]] = {
    "not a POST": Inbound("GET", KEY, b""),
    "credentials missing or wrong": Inbound("POST", {}, BODY),
    "credentials missing or wrong, body broken": Inbound("POST", {}, b"{"),
    f"body longer than {BODY_LIMIT // 1024} KiB": Inbound("POST", KEY, None),
    "Content-Encoding": Inbound("POST", {**KEY, "content-encoding": "gzip"}, BODY),
    "not strict JSON": Inbound("POST", KEY, b"{"),
    "not an object, or without `method` or `params`": Inbound("POST", KEY, b'{"id": 1}'),
    "unknown method": Inbound("POST", KEY, BODY.replace(b"CheckTransaction", b"Pay")),
    "a param missing or of a wrong type": Inbound("POST", KEY, BODY.replace(b'"A"', b"5")),
    "the same, of SetFiscalData": Inbound("POST", KEY, BODY.replace(b"CheckTransaction", b"SetFiscalData")),
}


# How a decision reads


def decide(each: Call, snapshot: Snapshot) -> Decision[Reply]:
    """Ask the gateway."""
    return PAYME.decide(each, snapshot, NOW)


def about(each: Call, transaction: Transaction) -> Decision[Reply]:
    """Ask the gateway about a transaction that is known."""
    return decide(each, Snapshot(transaction=transaction))


def cell(decision: Decision[Reply]) -> str:
    """Say a decision of Payme's in a table's cell."""
    return told(answer(decision.reply, stored=not decision.changes), decision)


def told(reply: str, decision: Decision[Any]) -> str:
    """Say a decision: the answer, what is written, the hooks."""
    lines = [reply]
    lines += [f"*writes* {move(change)}" for change in decision.changes]
    lines += [f"`{event.hook}`" for event in (*decision.asks, *decision.events)]
    return "<br>".join(lines)


def answer(reply: Reply, *, stored: bool = False) -> str:
    """Say what is answered."""
    match reply:
        case Error(code=code):
            return link(code)
        case {"state": state}:
            again = ", as stored" if stored and "reason" not in reply else ""
            return f"state {number(state)}{again}"
        case _:
            return ", ".join(f"`{name}: {json.dumps(value)}`" for name, value in reply.items())


def move(change: Change) -> str:
    """Say what is written."""
    before, after = change.before, change.after
    if before is None:
        return "a new transaction"
    if before.state is after.state:
        return "the receipt"
    which = "" if after.transaction_id in ("A", NUMBER) else "the other one, "
    reason = {Reason.TIMEOUT: ", reason 4", SUPERSEDED: f", reason {number(SUPERSEDED)}"}.get(after.reason or 0, "")
    return f"{which}{number(before.state)} → {number(after.state)}{reason}"


def link(code: int) -> str:
    """Link a code to its entry."""
    return f"[{code}](errors.md#{code})"


def number(state: int) -> str:
    """Write a state's number with a minus sign."""
    return str(int(state)).replace("-", "−")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows])


# Replies


def known_transaction() -> str:
    """Each call about a transaction, in each of its states."""
    rows = []
    for name, each in ABOUT_A_TRANSACTION.items():
        unknown = "see below" if name.startswith("Create") else cell(decide(each, Snapshot()))
        rows.append([name, unknown, *(cell(about(each, transaction)) for transaction in STAGES.values())])
    return table(["", "unknown", *STAGES], rows)


def new_for_an_order() -> str:
    """A new transaction, by what is known of the order."""
    rows = (
        [name, cell(decide(check_call(amount, fields), snapshot)), cell(decide(create_call(amount, fields), snapshot))]
        for name, (amount, fields, snapshot) in ABOUT_AN_ORDER.items()
    )
    return table(["The order", "CheckPerformTransaction", "CreateTransaction, new id"], rows)


def new_and_too_late() -> str:
    """A new transaction that is too old already, and what a setting changes."""
    otherwise = replace(PAYME, held_code=errors.CANNOT_PERFORM.code)
    rows = [
        [
            "awaits payment, but `time` is more than 12 hours ago",
            cell(decide(create_call(age=HALF_DAY + 1), of_order())),
        ],
        [
            "held, where the setting `held_code` is -31008",
            cell(otherwise.decide(create_call(), of_order(OTHERS["1"]), NOW)),
        ],
    ]
    return table(["The order", "CreateTransaction, new id"], rows)


def new_for_a_wallet() -> str:
    """A payment into an account that is topped up."""
    rows = (
        [name, *(cell(decide(each, Snapshot(account=account))) for each in (check_call(amount), create_call(amount)))]
        for name, (amount, account) in ABOUT_A_WALLET.items()
    )
    return table(["The amount", "CheckPerformTransaction", "CreateTransaction, new id"], rows)


def times() -> str:
    """Which times are set in which state, and how the others are sent."""
    rows = []
    names = ("create_time", "perform_time", "cancel_time", "reason")
    for state in ("1", "2", "−1", "−2"):
        reply = about(CHECK, STAGES[state]).reply
        if isinstance(reply, Error):
            raise TypeError(reply)
        rows.append([state, *("set" if reply[name] else json.dumps(reply[name]) for name in names)])
    return table(["State", *(f"`{name}`" for name in names)], rows)


def refusals() -> str:
    """What a hook's no is answered as."""
    refusal = Refused("…", code=-31077, data="…")
    rows = [
        [type(each.request).__name__, "`raise Refused(…)`", *refused(PAYME.refuse(each, refusal), refusal)]
        for each in (check_call(), create_call(), PERFORM, CANCEL, CHECK)
    ]
    paid = STAGES["2"]
    denied = PAYME.amend(CANCEL, about(CANCEL, paid), Event(Hook.CAN_REVERSE, paid), answer=False)
    rows.append(["CancelTransaction", "`can_reverse` is False", *refused(denied.reply, refusal)])
    return table(["Call", "The hook", "Code", "Message", "`data`"], rows)


def refused(reply: Reply, refusal: Refused) -> list[str]:
    """Say how much of an answer is the hook's."""
    match reply:
        case Error(code=code, en=text, data=data):
            own = code == refusal.code
            return [
                "the hook's" if own else link(code),
                "the hook's" if text == "…" else "ours",
                "the hook's" if data else "none",
            ]
        case _:
            raise AssertionError(reply)


def no_call() -> str:
    """Requests that are refused before the database is asked."""
    rows = []
    for name, inbound in NO_CALL.items():
        try:
            PAYME.parse(inbound)
        except Rejected as rejected:
            body = json.loads(rejected.body)
            rows.append([name, link(body["error"]["code"]), "null" if body["id"] is None else "echoed"])
        else:
            raise AssertionError(name)
    return table(["The request", "Answer", "`id`"], rows)


def passwords() -> str:
    """What ChangePassword is answered."""
    rows = (
        [name, cell(decide(call("ChangePassword", password=password), Snapshot()))]
        for name, password in {"a text": "another", "blank": " "}.items()
    )
    return table(["The new password", "Answer"], rows)


# States

MEANINGS: Final[Mapping[State, str]] = {
    State.CREATED: "The moment before a transaction exists. Never stored, never sent.",
    State.INITIATING: "The order is reserved. No money has arrived.",
    State.SUCCESSFULLY: "The money has arrived.",
    State.CANCELLED: "The money had arrived and was given back.",
    State.CANCELLED_DURING_INIT: "Given up before any money arrived.",
}

REASONS: Final[Mapping[Reason, str]] = {
    Reason.RECEIVER_INACTIVE: "A receiver of a split payment is unknown to Payme, or inactive.",
    Reason.DEBIT_FAILED: "The payer's card could not be debited.",
    Reason.EXECUTION_FAILED: "The transaction could not be executed.",
    Reason.TIMEOUT: "More than 12 hours passed. Also set by the library itself.",
    Reason.REFUND: "The money was given back.",
    Reason.UNKNOWN: "Unknown.",
}


def moves() -> dict[tuple[State, State], tuple[list[str], Hook]]:
    """Find out from the gateway which calls make which move, and which hook tells of it."""
    decided = [("CreateTransaction", decide(create_call(), of_order()))]
    decided += [(name, about(each, stage)) for name, each in ABOUT_A_TRANSACTION.items() for stage in STAGES.values()]
    found: dict[tuple[State, State], tuple[list[str], Hook]] = {}
    for name, decision in decided:
        for change, event in zip(decision.changes, decision.events, strict=False):
            before = State.CREATED if change.before is None else change.before.state
            causes, _ = found.setdefault((before, change.after.state), ([], event.hook))
            cause = "12 hours have passed" if change.after.reason == Reason.TIMEOUT else name
            if cause not in causes:
                causes.append(cause)
    return found


def diagram() -> str:
    """Draw TRANSITIONS."""
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR"]
    lines += [
        f"    {state.name}: {state.name} ({number(state)})" for state in TRANSITIONS if state is not State.CREATED
    ]
    causes = moves()
    for before, afters in TRANSITIONS.items():
        for after in sorted(afters, key=list(TRANSITIONS).index):
            label = " or ".join(sorted(causes[before, after][0], reverse=True))
            lines.append(f"    {'[*]' if before is State.CREATED else before.name} --> {after.name}: {label}")
        if not afters:
            lines.append(f"    {before.name} --> [*]")
    return "\n".join([*lines, "```"])


def states() -> str:
    """Say what holds in each state."""
    told = {after: hook for (_, after), (_, hook) in moves().items()}
    samples = {each.state: each for each in STAGES.values()}
    rows = []
    for state in TRANSITIONS:
        row = [f"`{state.name}`", number(state), MEANINGS[state]]
        if state in samples:
            sample = samples[state]
            names = ("created_at", "performed_at", "cancelled_at", "reason")
            row.append(", ".join(f"`{name}`" for name in names if getattr(sample, name) is not None))
            row += ["no" if sample.hold is None else "yes", f"`{told[state]}`"]
        rows.append([*row, *["—"] * (6 - len(row))])
    return table(["State", "Number", "Meaning", "What is set", "Holds the order", "Told by the hook"], rows)


def limit() -> str:
    """Say how long 12 hours are."""
    return f"{HALF_DAY:,} ms.".replace(",", " ") + " Exactly that age is still in time; one millisecond more is not."


def reasons() -> str:
    """List the reasons."""
    return table(["Reason", "Name", "Meaning"], ([str(each.value), f"`{each.name}`", REASONS[each]] for each in Reason))


# Errors

EVERY_CALL: Final = (
    errors.NOT_POST,
    errors.NOT_JSON,
    errors.BAD_REQUEST,
    errors.UNKNOWN_METHOD,
    errors.NOT_ALLOWED,
    errors.SYSTEM_ERROR,
)


def answered_to() -> dict[int, list[str]]:
    """Find out from the gateway which calls are answered which code."""
    found: dict[int, list[str]] = {error.code: [] for error in ERRORS}
    for name, reply in answers():
        if isinstance(reply, Error) and name not in found[reply.code]:
            found[reply.code].append(name)
    return {**found, **{error.code: ["any call"] for error in EVERY_CALL}}


def answers() -> Iterator[tuple[str, Reply]]:
    """Go through all that the gateway is asked here."""
    asked = [(create_call(age=HALF_DAY + 1), of_order())]
    for amount, fields, snapshot in ABOUT_AN_ORDER.values():
        asked += [(check_call(amount, fields), snapshot), (create_call(amount, fields), snapshot)]
    for each in ABOUT_A_TRANSACTION.values():
        asked += [(each, Snapshot(transaction=stage)) for stage in STAGES.values()]
    asked += [(each, Snapshot()) for each in (PERFORM, CANCEL, CHECK, FISCAL)]
    asked += [(BLANK_PASSWORD, Snapshot())]
    yield from ((type(each.request).__name__, decide(each, snapshot).reply) for each, snapshot in asked)
    for each in (check_call(), create_call(), PERFORM, CANCEL):
        yield type(each.request).__name__, PAYME.refuse(each, Refused("…"))
    yield "SetFiscalData", errors.FISCAL_INVALID


def all_errors() -> str:
    """List the errors."""
    answered = answered_to()
    rows = ([f"[{each.code}](#{each.code})", each.en, ", ".join(answered[each.code])] for each in ERRORS)
    return table(["Code", "Message", "Answered to"], rows)


def one_error(error: Error) -> str:
    """Say what the code says of an error."""
    told = {
        "Answered to": ", ".join(answered_to()[error.code]),
        "HTTP status": "200",
        "ru": error.ru,
        "uz": error.uz,
        "en": error.en,
    }
    return "\n".join(f"- **{name}:** {text}" for name, text in told.items())


# Click: situations that the gateway is asked about

NUMBER: Final = "1"
CLICK_TILL: Final = ClickTill(lambda body, _: (500, body), "key", 12345)
CLICK: Final = Click(secrets=lambda: ["key"], service_id=12345, minimum=1_000, maximum=1_000_000)


def click_call(action: str, **changed: str) -> ClickCall:
    """Build a call as `parse` does; Complete names the attempt that Prepare answered."""
    form = {
        "click_trans_id": NUMBER, "service_id": "12345", "click_paydoc_id": "7", "merchant_trans_id": "42",
        "amount": "5000.00", "action": action, "error": "0", "sign_time": "2026-01-15 10:20:30",
    }  # fmt: skip
    if action == COMPLETE:
        form["merchant_prepare_id"] = str(ClickCall(form).prepare_id)
    return ClickCall({**form, **changed})


def click_stages(number: str = NUMBER, account: Account = ORDER) -> dict[str, Transaction]:
    """Give one attempt at every stage of its life."""
    fresh = create(
        now=NOW - 1000, gateway="click", transaction_id=number, account=account, amount_tiyin=PRICE,
        received={"merchant_trans_id": "42"},
    ).after  # fmt: skip
    paid = fresh.perform(NOW).after
    return {"1": fresh, "2": paid, "−1": fresh.cancel(NOW, -5017).after, "−2": paid.cancel(NOW, -5017).after}


ABOUT_AN_ATTEMPT: Final[Mapping[str, ClickCall]] = {
    "Prepare": click_call(PREPARE),
    "Prepare, another amount": click_call(PREPARE, amount="5000.01"),
    "Prepare, another order": click_call(PREPARE, merchant_trans_id="43"),
    "Complete, `error` 0": click_call(COMPLETE),
    "Complete, `error` negative": click_call(COMPLETE, error="-5017"),
    "Complete, another amount": click_call(COMPLETE, amount="5000.01"),
    "Complete, another prepare id": click_call(COMPLETE, merchant_prepare_id="999999999"),
    "Complete, another order": click_call(COMPLETE, merchant_trans_id="43"),
}

PREPARE_FOR_AN_ORDER: Final[Mapping[str, tuple[ClickCall, Snapshot]]] = {
    "awaits payment": (click_call(PREPARE), of_order()),
    "another amount": (click_call(PREPARE, amount="5000.01"), of_order()),
    "an amount that is none: `1e3`, `5000.001`": (click_call(PREPARE, amount="1e3"), of_order()),
    "unknown": (click_call(PREPARE), Snapshot()),
    "closed by the shop (`is_payable`)": (click_call(PREPARE), of_order(payable=False)),
    "held by an older attempt at Click": (click_call(PREPARE), of_order(click_stages("2")["1"])),
    "held by Payme": (click_call(PREPARE), of_order(OTHERS["1"])),
    "held by Payme, past 12 hours": (click_call(PREPARE), of_order(OTHERS["1, past 12 hours"])),
    "paid through Click": (click_call(PREPARE), of_order(click_stages("2")["2"])),
    "paid through Payme": (click_call(PREPARE), of_order(OTHERS["2"])),
    "refunded": (click_call(PREPARE), of_order(OTHERS["−2"])),
    "refunded and reopened": (click_call(PREPARE), of_order()),
    "awaits payment, but `error` is negative": (click_call(PREPARE, error="-5017"), of_order()),
}

PAYMENT: Final = replace(WALLET, hold="click:12345:42:7")

PREPARE_FOR_A_WALLET: Final[Mapping[str, tuple[ClickCall, Snapshot]]] = {
    "from `minimum` to `maximum`": (click_call(PREPARE), Snapshot(account=WALLET)),
    "below `minimum`": (click_call(PREPARE, amount="9.99"), Snapshot(account=WALLET)),
    "above `maximum`": (click_call(PREPARE, amount="10000.01"), Snapshot(account=WALLET)),
    "the same `click_paydoc_id`, prepared": (
        click_call(PREPARE),
        Snapshot(account=WALLET, holder=click_stages("2", PAYMENT)["1"]),
    ),
    "the same `click_paydoc_id`, confirmed": (
        click_call(PREPARE),
        Snapshot(account=WALLET, holder=click_stages("2", PAYMENT)["2"]),
    ),
}


def click_body(**changed: str | None) -> bytes:
    """Write a Prepare; it is signed, unless a `sign_string` is given."""
    form = {name: text for name, text in {**click_call(PREPARE).form, **changed}.items() if text is not None}
    return urlencode({"sign_string": CLICK_TILL.signature(form), **form}).encode()


NO_CLICK_CALL: Final[Mapping[str, Inbound]] = {
    "not a POST": Inbound("GET", {}, b""),
    f"body longer than {BODY_LIMIT // 1024} KiB": Inbound("POST", {}, None),
    "not a form; a field that comes twice; not UTF-8": Inbound("POST", {}, b"{}"),
    "a field missing or empty": Inbound("POST", {}, click_body(amount=None)),
    "an id that is no number": Inbound("POST", {}, click_body(click_trans_id="1x")),
    "`error` no number, or above 0": Inbound("POST", {}, click_body(error="1")),
    "wrong signature": Inbound("POST", {}, click_body(sign_string="0" * 32)),
    "`action` neither 0 nor 1": Inbound("POST", {}, click_body(action="2")),
    "another `service_id`": Inbound("POST", {}, click_body(service_id="12346")),
}


def click_cell(each: ClickCall, snapshot: Snapshot) -> str:
    """Say a decision of Click's in a table's cell."""
    decision = CLICK.decide(each, snapshot, NOW)
    return told(click_link(decision.reply.code), decision)


def click_link(code: Code) -> str:
    """Link a code to its entry."""
    return f"[{code.number}](click-codes.md#{code.number})"


def known_attempt() -> str:
    """Each of Click's calls about an attempt, in each of its states."""
    rows = []
    for name, each in ABOUT_AN_ATTEMPT.items():
        unknown = "see below" if each.action == PREPARE else click_cell(each, Snapshot(account=ORDER))
        rows.append([name, unknown, *(click_cell(each, Snapshot(transaction=it)) for it in click_stages().values())])
    return table(["", "unknown", *click_stages()], rows)


def new_attempt_at_an_order() -> str:
    """Prepare with a new number, by what is known of the order."""
    rows = ([name, click_cell(*asked)] for name, asked in PREPARE_FOR_AN_ORDER.items())
    return table(["The order", "Prepare, new `click_trans_id`"], rows)


def new_attempt_at_a_wallet() -> str:
    """Prepare for an account that is topped up."""
    rows = ([name, click_cell(*asked)] for name, asked in PREPARE_FOR_A_WALLET.items())
    return table(["The amount, the payment", "Prepare, new `click_trans_id`"], rows)


def click_refusals() -> str:
    """What Click is answered for a hook's no."""
    refusal, paid = Refused("…"), click_stages()["2"]
    cancel = click_call(COMPLETE, error="-5017")
    ask = Event(Hook.CAN_REVERSE, paid)
    denied = CLICK.amend(cancel, CLICK.decide(cancel, Snapshot(transaction=paid), NOW), ask, answer=False)
    asked = [
        ("Prepare", "`raise Refused(…)`", CLICK.refuse(click_call(PREPARE), refusal)),
        ("Complete", "`raise Refused(…)`", CLICK.refuse(click_call(COMPLETE), refusal)),
        ("Complete of a paid order, `error` negative", "`can_reverse` is False", denied.reply),
        ("any", "any other exception", CLICK.fail(None)),
    ]
    rows = ([call, hook, click_link(reply.code), "the hook's" if reply.note else "ours"] for call, hook, reply in asked)
    return table(["Call", "The hook", "Code", "`error_note`"], rows)


def no_click_call() -> str:
    """Requests of Click's that are refused before the database is asked."""
    return table(["The request", "Answer"], ([name, click_link(code)] for name, code in click_rejections().items()))


def click_rejections() -> dict[str, Code]:
    """Ask `parse`."""
    found = {}
    for name, inbound in NO_CLICK_CALL.items():
        try:
            CLICK.parse(inbound)
        except Rejected as rejected:
            (found[name],) = (code for code in Code if code.number == json.loads(rejected.body)["error"])
        else:
            raise AssertionError(name)
    return found


def click_answered_to() -> dict[Code, list[str]]:
    """Find out from the gateway which calls are answered which code."""
    found: dict[Code, list[str]] = {code: [] for code in Code}
    for name, code in click_answers():
        if name not in found[code]:
            found[code].append(name)
    return found


def click_answers() -> Iterator[tuple[str, Code]]:
    """Go through all that Click's gateway is asked here; every request may be refused before it is a call."""
    asked = [*PREPARE_FOR_AN_ORDER.values(), *PREPARE_FOR_A_WALLET.values()]
    for each in ABOUT_AN_ATTEMPT.values():
        asked += [(each, Snapshot(transaction=stage)) for stage in click_stages().values()]
    asked += [(click_call(COMPLETE), Snapshot()), (click_call(COMPLETE), Snapshot(account=ORDER))]
    for each, snapshot in asked:
        yield click_name(each), CLICK.decide(each, snapshot, NOW).reply.code
    for code in (*click_rejections().values(), CLICK.fail(None).code):
        yield from ((name, code) for name in ("Prepare", "Complete"))


def click_name(each: ClickCall) -> str:
    """Name a call."""
    return "Complete" if each.action == COMPLETE else "Prepare"


def all_codes() -> str:
    """List Click's codes."""
    answered = click_answered_to()
    rows = ([f"[{code.number}](#{code.number})", code.note, ", ".join(answered[code])] for code in Code)
    return table(["`error`", "`error_note`", "Answered to"], rows)


def one_code(code: Code) -> str:
    """Say what the code says of one of Click's codes."""
    facts = {"Answered to": ", ".join(click_answered_to()[code]), "`error_note`": code.note}
    return "\n".join(f"- **{name}:** {text}" for name, text in facts.items())


# Django's settings

REQUIRED: Final = ""
SETTINGS: Final[Mapping[str, tuple[str, str]]] = {
    "payme_id": (REQUIRED, "the cash register's id, from Payme's cabinet"),
    "payme_key": (
        REQUIRED,
        "its key. While keys rotate a list of them, or a callable without arguments that gives one or several",
    ),
    "test_key": ("None", "the key of Payme's sandbox, valid besides. It has no place in production: `paytechuz.W001`"),
    "service_id": (REQUIRED, "the service's number, from Click's cabinet"),
    "secret_key": (REQUIRED, "its secret key; several, or a callable, as `PAYME_KEY`"),
    "account_model": (REQUIRED, 'what is paid: `"orders.Order"`, the model\'s whole path, or the class'),
    "account_field": (
        '"id"',
        "the provider's field that names it, as in its cabinet; with Payme several are allowed, in a list",
    ),
    "account_column": (
        "None",
        (
            "the model's field (or several) where it is called otherwise. None: called the same; `order_id`, where the "
            "model has no such field, is the primary key"
        ),
    ),
    "account_key_type": ("None", "`int`, `str` or `UUID`, where the field's own class hides which of them it is"),
    "amount_field": ('"amount"', "the field or property that has the price, in som"),
    "one_time_payment": (
        "True",
        "True: it is paid once, and exactly. False: any number of payments of any amount, for balances",
    ),
    "minimum": ("None", "the least that a balance takes at once, in som: a Decimal, an int or a text"),
    "maximum": ("None", "the most, likewise"),
    "allowed_addresses": (
        "None",
        (
            "from where calls may come: addresses and networks, such as `paytechuz.PAYME_ADDRESSES`; see "
            "[who may call](../how-to/security.md#who-may-call). None: from everywhere, the key decides"
        ),
    ),
    "trusted_proxies": (
        "None",
        'whose `X-Forwarded-For` is believed: the addresses of your own proxies, or `"unix"` for a Unix socket',
    ),
    "login": ('"Paycom"', "the login that Payme calls with"),
    "held_code": (
        "-31051",
        (
            "what CreateTransaction says of an order that another transaction holds; or -31008, for a cash register "
            "whose test insists"
        ),
    ),
    "messages": ("{}", 'other words for errors: `{-31050: {"ru": …, "uz": …, "en": …}}`'),
    "commission_percent": ("0", "what the customer pays on top of the price; a Decimal, an int or a text"),
    "action": ("None", "0 or 1 for a URL that serves Prepare or Complete only"),
    "lifetime": ("timedelta(hours=12)", "how long a prepared attempt keeps the order from another provider"),
    "handler": (
        "None",
        (
            'the path of your view class, `"orders.payments.ShopPayme"`: whose hooks `manage.py paytechuz_expire` '
            "calls. Only here, and needed by nothing else"
        ),
    ),
}
"""Every setting of Django's: its default, written in Python (REQUIRED where there is none), and what it is."""


def settings_of(provider: str) -> str:
    """List what PAYTECHUZ may say of a provider."""
    rows = []
    for name in KNOWN[provider]:
        default, meaning = SETTINGS[name]
        attribute = "" if name == "handler" else f"`{name}`"
        variable = f"`{ENVIRONMENT[name]}`" if name in ENVIRONMENT else ""
        rows.append([f"`{name.upper()}`", meaning, f"`{default}`" if default else "required", attribute, variable])
    return table(["In `PAYTECHUZ`", "What it is", "Default", "Attribute, `as_view`", "Environment"], rows)


REGIONS: Final[Mapping[str, Callable[[], str]]] = {
    "calls about a known transaction": known_transaction,
    "a new transaction for an order": new_for_an_order,
    "two exceptions": new_and_too_late,
    "a new transaction for a wallet": new_for_a_wallet,
    "times and reason": times,
    "refusals of hooks": refusals,
    "requests that are no call": no_call,
    "passwords": passwords,
    "diagram": diagram,
    "states": states,
    "limit": limit,
    "reasons": reasons,
    "all errors": all_errors,
    **{f"error {each.code}": partial(one_error, each) for each in ERRORS},
    "Click: calls about a known attempt": known_attempt,
    "Click: a new attempt at an order": new_attempt_at_an_order,
    "Click: a new attempt at a wallet": new_attempt_at_a_wallet,
    "Click: refusals of hooks": click_refusals,
    "Click: requests that are no call": no_click_call,
    "all codes of Click": all_codes,
    **{f"code {each.number} of Click": partial(one_code, each) for each in Code},
    "Django's settings of Payme": partial(settings_of, "PAYME"),
    "Django's settings of Click": partial(settings_of, "CLICK"),
}

if __name__ == "__main__":
    main()
