"""`paytechuz call`: one call of a provider's; and `paytechuz replay`: recorded ones once more."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import parse_qsl

import typer
from rich.console import Console
from rich.markup import escape
from typer import Argument, Option

from paytechuz.cli.config import GATEWAYS, Wrong, read_config
from paytechuz.cli.endpoint import Playing, endpoint
from paytechuz.cli.options import Account, Amount, ConfigFile, Key, Login, Remote, ServiceId, Timeout
from paytechuz.cli.orders import read_account, read_amount
from paytechuz.cli.shown import console, told
from paytechuz_core.report import printable
from paytechuz_core.testing import Answer, ClickAnswer, ClickTill, Exchange, Order, Till
from paytechuz_core.testing.click import NOT_DEBITED

PAYMES_NAMES: Final = {
    "check-perform": "CheckPerformTransaction",
    "create": "CreateTransaction",
    "perform": "PerformTransaction",
    "cancel": "CancelTransaction",
    "check": "CheckTransaction",
    "statement": "GetStatement",
}
CLICKS_NAMES: Final = ("prepare", "complete", "cancel")

AnswerT = TypeVar("AnswerT")

Provider = Annotated[str, Argument(help="payme or click", metavar="PROVIDER")]
Method = Annotated[
    str,
    Argument(
        metavar="METHOD",
        help="payme: check-perform, create, perform, cancel, check, statement, or a name of Payme's own with --param; "
        "click: prepare, complete, cancel",
    ),
]
At = Annotated[str | None, Option("--url", help="The endpoint.", show_default=False)]
Id = Annotated[
    str | None,
    Option(help="The transaction's id, of Click click_trans_id; a new one where none is said.", show_default=False),
]
Time = Annotated[
    int | None,
    Option(
        help="Payme's time of a new transaction, in milliseconds since 1970; now where none is said.",
        show_default=False,
    ),
]
ReasonOf = Annotated[
    int | None,
    Option(help="Why it is cancelled: Payme's 1 to 10 (5 is a refund), Click's negative error.", show_default=False),
]
From = Annotated[int, Option("--from", help="A statement's beginning, in milliseconds since 1970.")]
To = Annotated[int | None, Option("--to", help="A statement's end; now where none is said.", show_default=False)]
PrepareId = Annotated[
    int | None, Option(help="What Prepare answered, for Click's complete and cancel.", show_default=False)
]
Param = Annotated[
    list[str] | None,
    Option(help="Any parameter, or another one: NAME=JSON for Payme, FIELD=TEXT for Click.", show_default=False),
]
Twice = Annotated[bool, Option("--twice", help="Send it twice, byte for byte, and compare the answers.")]
Recorded = Annotated[Path, Argument(help="What `paytechuz check --record FILE` wrote.")]
Number = Annotated[
    list[int] | None,
    Option("--number", help="Only the exchange with this number; may be repeated.", show_default=False),
]


def call(
    provider: Provider,
    method: Method,
    *,
    url: At = None,
    key: Key = None,
    login: Login = None,
    service_id: ServiceId = None,
    id: Id = None,
    account: Account = None,
    amount: Amount = None,
    time: Time = None,
    reason: ReasonOf = None,
    start: From = 0,
    end: To = None,
    prepare_id: PrepareId = None,
    param: Param = None,
    twice: Twice = False,
    timeout: Timeout = None,
    remote: Remote = False,
    config_file: ConfigFile = None,
) -> None:
    """Be the provider for one call, and see what the shop answers.

    [bold]paytechuz call payme create --account order_id=1 --amount 500000[/bold]

    [bold]paytechuz call payme perform --id 5305e3bab097f420a62ced0b[/bold]

    [bold]paytechuz call click prepare --account order_id=1 --amount 5000som[/bold]

    Where the shop is, and its key, are read from pyproject.toml unless they are said here. The exit status is 1 where
    the answer is none by the provider's protocol; an error by the protocol is an answer.
    """
    with told():
        if provider not in GATEWAYS:
            message = f"{provider} is not known: payme or click"
            raise Wrong(message)
        config = read_config(config_file)
        given: dict[str, Any] = {"key": key, "login": login, "service_id": service_id, "timeout": timeout}
        playing = endpoint(config, provider, url, remote=remote, **given).till()
        fields = {name: values[0] for name, values in read_account(account or []).items() if values}
        order = Order(fields, read_amount(amount) if amount else 0)
        answer: Answer | ClickAnswer
        if provider == "payme":
            params = payme_params(method, order, id, time=time, reason=reason, start=start, end=end)
            answer = payme_call(playing.till, method, {**params, **json_params(param or [])}, twice=twice)
        else:
            form = dict(each.partition("=")[::2] for each in param or [])
            answer = click_call(playing.till, method, order, id, reason, prepare_id, form, twice=twice)
        out = console()
        for exchange in playing.record.exchanges:
            show(exchange, out)
        fault = answer.fault()
    if fault is None:
        out.print(f"[green]{escape(answer.summary)}[/]", highlight=False)
    else:
        got, why = fault
        out.print(f"[red]{escape(printable(got))}[/]\n{escape(why)}", highlight=False)
    raise typer.Exit(fault is not None)


def payme_params(
    method: str, order: Order, id: str | None, *, time: int | None, reason: int | None, start: int, end: int | None
) -> dict[str, Any]:  # fmt: skip
    """Give the parameters that Payme sends."""
    paid = {"amount": order.amount_tiyin, "account": dict(order.account)}
    match method:
        case "check-perform" | "create" if not (order.account and order.amount_tiyin):
            message = f"{method} needs --account order_id=1 and --amount 500000"
            raise Wrong(message)
        case "check-perform":
            return paid
        case "create":
            return {"id": id or token_hex(12), "time": time if time is not None else now(), **paid}
        case "perform" | "check" | "cancel" if id is None:
            message = f"{method} needs the transaction's id: --id"
            raise Wrong(message)
        case "perform" | "check":
            return {"id": id}
        case "cancel":
            return {"id": id, "reason": 5 if reason is None else reason}
        case "statement":
            return {"from": start, "to": now() if end is None else end}
        case _:
            return {}


def payme_call(till: Till, method: str, params: Mapping[str, Any], *, twice: bool) -> Answer:
    """Call as Payme does."""
    if method not in PAYMES_NAMES and not method[:1].isupper():
        message = f"{method} is no method of Payme's: {', '.join(PAYMES_NAMES)}, or its own name (SetFiscalData)"
        raise Wrong(message)
    return answered(lambda: till.call(PAYMES_NAMES.get(method, method), params, twice=twice))


def json_params(texts: Sequence[str]) -> dict[str, Any]:
    """Read NAME=JSON."""
    params = {}
    for each in texts:
        name, _, text = each.partition("=")
        try:
            params[name] = json.loads(text)
        except ValueError as error:
            message = f'--param {each}: what stands after = must be JSON, a text in quotes: {name}="…"'
            raise Wrong(message) from error
    return params


def click_call(
    till: ClickTill, method: str, order: Order, id: str | None, reason: int | None, prepare_id: int | None,
    form: Mapping[str, str], *, twice: bool,
) -> ClickAnswer:  # fmt: skip
    """Call as Click does."""
    if method not in CLICKS_NAMES:
        message = f"{method} is no call of Click's: {', '.join(CLICKS_NAMES)}"
        raise Wrong(message)
    if not (order.account and order.amount_tiyin):
        message = f"{method} needs --account order_id=1 and --amount 5000som"
        raise Wrong(message)
    if method != "prepare" and (id is None or prepare_id is None):
        message = f"{method} needs --id, the click_trans_id, and --prepare-id, which Prepare answered"
        raise Wrong(message)
    if id is not None and not (id.isascii() and id.isdecimal()):
        message = f"--id {id} is no click_trans_id, which is a whole number"
        raise Wrong(message)
    attempt = till.attempt(order, number=None if id is None else int(id))
    attempt.prepare_id = prepare_id or attempt.prepare_id
    error = {"prepare": 0, "complete": 0, "cancel": reason or NOT_DEBITED}[method]

    def send() -> ClickAnswer:
        return attempt.prepare(**form) if method == "prepare" else attempt.complete(error, **form)

    answers = [answered(send) for _ in range(1 + twice)]
    return answers[-1]


def answered(send: Callable[[], AnswerT]) -> AnswerT:
    """Send, and say it where nothing came back."""
    try:
        return send()
    except OSError as error:
        message = f"no answer: {str(error) or type(error).__name__}"
        raise Wrong(message) from error


def now() -> int:
    """Look at the clock."""
    return time.time_ns() // 1_000_000


def show(exchange: Exchange, out: Console) -> None:
    """Show what was asked and what was answered."""
    out.print(f"[bold]asked[/]\n{escape(pretty(exchange.asked))}", highlight=False)
    status = f"HTTP {exchange.status}" if exchange.status else "no answer"
    out.print(f"[bold]answered[/] {status}, {exchange.took} ms\n{escape(pretty(exchange.answer))}", highlight=False)


def pretty(body: str) -> str:
    """Write a body for reading: JSON indented, a form a field a line. No terminal obeys it."""
    try:
        return json.dumps(json.loads(body), ensure_ascii=False, indent=2)
    except ValueError:
        pass
    fields = parse_qsl(body, keep_blank_values=True)
    lines = [f"{name} = {value}" for name, value in fields] if len(fields) > 1 else body.splitlines()
    return "\n".join(map(printable, lines))


def replay(
    file: Recorded,
    *,
    number: Number = None,
    url: At = None,
    key: Key = None,
    login: Login = None,
    service_id: ServiceId = None,
    timeout: Timeout = None,
    remote: Remote = False,
    config_file: ConfigFile = None,
) -> None:
    """Send recorded calls once more, byte for byte, and compare the answers.

    [bold]paytechuz check --record said.jsonl[/bold], then [bold]paytechuz replay said.jsonl --number 12[/bold]

    Credentials are in no record: Payme's are added anew. As long as nothing has happened to the transaction since, a
    shop answers what it answered before, to the millisecond. The exit status is 1 where an answer differs.
    """
    with told():
        config = read_config(config_file)
        record = read_record(file)
        speaks_json = {each.path for each in record if each.asked.startswith("{")}  # whatever else was sent there
        wanted = [each for each in record if not number or each.number in number]
        if not wanted:
            message = f"{file} has no such exchange"
            raise Wrong(message)
        given: dict[str, Any] = {"key": key, "login": login, "service_id": service_id, "timeout": timeout}
        tills: dict[str, Playing] = {}
        out, differing = console(), 0
        for old in wanted:
            gateway = "payme" if old.path in speaks_json else "click"
            if gateway not in tills:
                tills[gateway] = endpoint(config, gateway, url, remote=remote, **given).till()
            body = old.asked.encode(errors="surrogateescape")
            again(tills[gateway].till, body)
            new = tills[gateway].record.exchanges[-1]
            same = (new.status, new.answer) == (old.status, old.answer)
            differing += not same
            if same:
                out.print(f"{old.number}: the same answer", highlight=False)
            else:
                out.print(f"[bold]{old.number}: another answer[/]\n{escape(pretty(old.asked))}", highlight=False)
                out.print(f"[bold]then[/] HTTP {old.status}\n{escape(pretty(old.answer))}", highlight=False)
                out.print(f"[bold]now[/] HTTP {new.status}\n{escape(pretty(new.answer))}", highlight=False)
        out.print(f"{len(wanted)} sent, {differing} answered otherwise than before.", highlight=False)
    raise typer.Exit(differing > 0)


def again(till: Till | ClickTill, body: bytes) -> None:
    """Send these bytes once more."""
    if isinstance(till, Till):
        answered(lambda: till.post(body, "replay"))
    else:
        answered(lambda: till.post(body, "replay", {}))


def read_record(path: Path) -> list[Exchange]:
    """Read a record."""
    try:
        return [Exchange(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, ValueError, TypeError) as error:
        message = f"{path} is no record of paytechuz check --record: {error}"
        raise Wrong(message) from error
