"""The page of `paytechuz serve`, apart from a browser: who is let in, what is told, links, single calls, texts."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from paytechuz import checkout_link, payment_link
from paytechuz.cli.app import app
from paytechuz.cli.config import Config, Wrong, read_config
from paytechuz.cli.page import checkout
from paytechuz.cli.page.checkout import read_link, shown
from paytechuz.cli.page.desk import (
    AGAIN,
    BUSY,
    EDITED,
    HIDDEN,
    NO_KEY,
    NO_ORDERS,
    NO_SERVICE,
    NO_URL,
    OTHER,
    SAME,
    Desk,
    Settings,
    Source,
    Told,
    tiyin_of,
)
from paytechuz.cli.page.server import ASKED, BODY_LIMIT, FILES, WEB, Door, PageServer, file_for, page_server
from paytechuz.cli.page.watch import Move, Watch, pretty
from paytechuz.cli.serve import desk_of
from paytechuz_core.testing import AT_ONCE, CLICK, CLICK_AT_ONCE, ONE_TIME, Exchange
from tests.cli import texts
from tests.cli.shops import ClickShop, ClickWallets, PaymeShop, PaymeWallets, listening, serving
from tests.core.test_click_scenarios import PRICE as CLICK_PRICE
from tests.core.test_click_scenarios import SECRET, SERVICE
from tests.core.test_click_scenarios import MemoryShop as ClickMemoryShop
from tests.core.test_click_scenarios import MemoryWallets as ClickMemoryWallets
from tests.core.test_scenarios import KEY, PRICE, MemoryShop, MemoryWallets

TEXTS: Final[dict[str, dict[str, str]]] = json.loads((WEB / "texts.json").read_text())
ORDERS: Final = 60
ROOT: Final = Path(__file__).parents[2]
PAYME_SHOPS: Final = {"payme": PaymeShop, "click": ClickShop}
Send = Callable[[bytes, Mapping[str, str]], tuple[int, bytes]]


@contextmanager
def desk_at(send: Send, gateway: str = "payme", *, top_up: bool = False, key: str | None = None) -> Iterator[Desk]:
    """Lay out a desk that calls this shop, whose orders are listed."""
    with listening(send) as url:
        som = "5000.01" if gateway == "payme" else "1000.00"
        secrets = {"key": key or KEY} if gateway == "payme" else {"secret-key": key or SECRET, "service-id": SERVICE}
        config = Config(Path.cwd(), {}, {gateway: {"url": url, **secrets}})
        yield Desk(config, Source(), Settings(gateway, [("id", f"1..{ORDERS}")], som, top_up))


def opened(shop: Any) -> Any:
    """Give a shop with orders, all of which await payment."""
    for _ in range(ORDERS):
        shop.new_order()
    return shop


@pytest.fixture
def payme() -> Iterator[Desk]:
    with desk_at(opened(PaymeShop()).send) as desk:
        yield desk


@pytest.fixture
def click() -> Iterator[Desk]:
    with desk_at(opened(ClickShop()).send, "click") as desk:
        yield desk


def steps(told: Iterator[Told]) -> list[Told]:
    """Give the judged answers of what is told."""
    return [each for each in told if each["kind"] == "step"]


def verdicts(told: Iterator[Told]) -> list[tuple[str, str]]:
    """Say of each answer which call it was to, and whether it was right."""
    return [
        (each["call"], "skipped" if each["skipped"] else "right" if each["ok"] else "wrong") for each in steps(told)
    ]


# Who is let in

DOOR: Final = Door("the token of this run", 8000)
LET_IN: Final = {
    "Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000", "X-Paytechuz-Token": "the token of this run",
    "Content-Length": "2",
}  # fmt: skip


def test_the_page_is_let_in_by_either_name_of_this_machine() -> None:
    assert DOOR.refuses("POST", LET_IN) is None
    assert DOOR.refuses("POST", {name.lower(): value for name, value in LET_IN.items()}) is None
    assert DOOR.refuses("POST", {**LET_IN, "Host": "localhost:8000", "Origin": "http://localhost:8000"}) is None
    assert DOOR.refuses("GET", {"Host": "127.0.0.1:8000"}) is None


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Host": "shop.example:8000"}, 421),
        ({"Host": "127.0.0.1:8001"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Host": "127.0.0.1:8000.shop.example"}, 421),
        ({"Host": None}, 421),
        ({"Origin": "http://127.0.0.1:8001"}, 403),
        ({"Origin": "https://shop.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"X-Paytechuz-Token": None}, 403),
        ({"X-Paytechuz-Token": ""}, 403),
        ({"X-Paytechuz-Token": "the token of another run"}, 403),
        ({"X-Paytechuz-Token": "ключ"}, 403),
        ({"Content-Length": None}, 411),
        ({"Content-Length": "-1"}, 411),
        ({"Content-Length": "²"}, 411),
        ({"Transfer-Encoding": "chunked"}, 411),
        ({"Content-Length": str(BODY_LIMIT + 1)}, 413),
        ({"Content-Length": "9" * 5000}, 413),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, dict) else str(value),
)
def test_nobody_else_is_let_in(changed: dict[str, str | None], status: int) -> None:
    headers = {name: value for name, value in {**LET_IN, **changed}.items() if value is not None}
    refusal = DOOR.refuses("POST", headers)
    assert refusal is not None
    assert refusal.status == status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "get"])
def test_other_methods_are_refused(method: str) -> None:
    refusal = DOOR.refuses(method, LET_IN)
    assert refusal is not None
    assert refusal.status == HTTPStatus.METHOD_NOT_ALLOWED


@pytest.mark.parametrize(
    "path", ["/desk.py", "/../server.py", "/web/page.js", "/favicon.ico", "/.env", "//etc/passwd.d"]
)
def test_no_file_but_those_of_the_page_is_given(path: str) -> None:
    assert file_for(path) is None


@pytest.mark.parametrize("path", ["/", "/services/pay", "/services/pay/", "/bT01ODdm", "/bT01ODdm+/=", "/bT01ODdm%3D"])
def test_the_page_is_where_a_payers_link_leads_in_its_providers_place(path: str) -> None:
    assert file_for(path) == WEB / "index.html"


# Over HTTP


@contextmanager
def page(desk: Desk) -> Iterator[PageServer]:
    with serving(page_server(desk)) as server:
        yield server


def asked(server: PageServer, path: str, body: object = None, **headers: str) -> tuple[int, Mapping[str, str], bytes]:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def token_in(server: PageServer) -> str:
    found = re.search(rb'name="token" content="([\w-]{40,})"', asked(server, "/")[2])
    assert found is not None
    return found[1].decode()


def test_every_file_of_the_page_is_given_with_headers_that_let_it_load_nothing_else(payme: Desk) -> None:
    with page(payme) as server:
        for path in ("/", *FILES, "/bT01"):
            status, headers, content = asked(server, path)
            assert status == HTTPStatus.OK
            assert content
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cache-Control"] == "no-store"
        assert asked(server, "/desk.py")[0] == HTTPStatus.NOT_FOUND


def test_each_run_has_a_token_of_its_own_and_does_nothing_without(payme: Desk) -> None:
    with page(payme) as server, page(payme) as another:
        assert token_in(server) != token_in(another)
        for path in ASKED:
            assert asked(server, path, {})[0] == HTTPStatus.FORBIDDEN
            assert asked(server, path, {}, **{"X-Paytechuz-Token": token_in(another)})[0] == HTTPStatus.FORBIDDEN
    assert payme.watch.transactions == {}


def test_a_name_that_leads_here_by_dns_sees_nothing(payme: Desk) -> None:
    with page(payme) as server:
        token = token_in(server)
        for body in (None, dict[str, str]()):
            status, _, content = asked(server, "/", body, Host=f"rebound.example:{server.server_port}")
            assert status == HTTPStatus.MISDIRECTED_REQUEST
            assert token.encode() not in content


def test_steps_are_told_as_they_happen_each_in_a_line(payme: Desk) -> None:
    with page(payme) as server:
        token = {"X-Paytechuz-Token": token_in(server)}
        status, headers, content = asked(server, "/api/play", {"names": ["create and cancel"]}, **token)
        assert (status, headers["Transfer-Encoding"]) == (HTTPStatus.OK, "chunked")
        told = [json.loads(line) for line in content.splitlines()]
        assert [each["kind"] for each in told[:2]] == ["scenario", "step"]
        assert told[1]["exchanges"][0]["call"] == "CheckPerformTransaction"


@pytest.mark.parametrize("body", [[], "text", 5])
def test_what_is_no_object_is_refused(payme: Desk, body: object) -> None:
    with page(payme) as server:
        assert asked(server, "/api/about", body, **{"X-Paytechuz-Token": token_in(server)})[0] == 400


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("/api/settings", {"gateway": "stripe"}, "gateway must be one of payme, click"),
        ("/api/settings", {"gateway": "payme", "url": 5}, "url must be a text"),
        ("/api/settings", {"gateway": "payme", "account": [5]}, "account must be a list of objects"),
        ("/api/play", {"names": "all"}, "names must be a list of texts"),
        ("/api/play", {"names": ["no such"]}, "there is no scenario 'no such'"),
        ("/api/repeat", {"number": True}, "number must be a whole number"),
        ("/api/repeat", {"number": 7}, "exchange 7 is not remembered any more"),
        ("/api/order", {"state": "lost"}, "state must be one of awaiting, held, paid, unknown"),
        ("/api/call", {"call": "PayTransaction", "state": "awaiting"}, "Payme has no call 'PayTransaction'"),
        ("/api/call", {"call": "GetStatement", "state": "awaiting", "hours": "x"}, "'x' is no whole number"),
        ("/api/call", {"call": "CheckPerformTransaction", "state": "held", "amount": "x"}, "'x' is no amount in som"),
        ("/api/pay", {"action": "pay"}, "open a payer's link first"),
        ("/api/link", {"link": "https://shop.example/"}, checkout.NO_LINK),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(payme: Desk, path: str, body: object, text: str) -> None:
    with page(payme) as server:
        status, _, content = asked(server, path, body, **{"X-Paytechuz-Token": token_in(server)})
        told = json.loads(content.splitlines()[-1])
        assert (status, told["kind"]) == (200, "error")
        assert told["text"].startswith(text)


def test_a_page_that_is_closed_ends_what_it_watched(payme: Desk) -> None:
    told = payme.told(payme.play(["bad credentials"]))
    next(told)
    told.close()
    assert verdicts(payme.play(["unknown transaction"]))


# Settings and keys


def test_a_key_is_set_and_never_told() -> None:
    key = 'a "key" with \\ and ключ:&'

    def echoing(body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        return 200, json.dumps({"key": key, "headers": dict(headers), "asked": body.decode()}).encode()

    with desk_at(echoing, key="overwritten") as desk:
        form = {"gateway": "payme", "key": key, "account": [{"name": "id", "value": "1..9"}], "amount": "5000.01"}
        told = [desk.line(desk.set(form)), desk.line(desk.about()), *desk.told(desk.play(["unknown transaction"]))]
        told += desk.told(desk.repeat(1))
        assert desk.speaker().playing.endpoint.key == key
    everything = b"".join(told).decode()
    shown_texts = everything + json.dumps([json.loads(line) for line in told], ensure_ascii=False)
    for secret in (key, json.dumps(key)[1:-1], json.dumps(json.dumps(key))[2:-2]):
        assert secret not in shown_texts
    assert b64encode(f"Paycom:{key}".encode()).decode() not in shown_texts
    assert HIDDEN in shown_texts
    assert key not in repr(desk) + repr(desk.providers)


def test_a_page_may_name_no_function_and_no_command(payme: Desk) -> None:
    form = {"gateway": "payme", "new_order": "os:abort", "status": "rm -r /", "account": [], "amount": ""}
    told = payme.set(form)
    assert (told["new_order"], told["status"]) == (None, None)
    assert payme.source == Source()


def test_an_endpoint_elsewhere_is_not_called(payme: Desk) -> None:
    told = payme.set({"gateway": "payme", "url": "http://192.0.2.1/webhook"})
    assert told["problem"].startswith("http://192.0.2.1/webhook is not on this machine")
    with pytest.raises(Wrong, match="not on this machine"):
        list(payme.play(["unknown transaction"]))
    payme.remote = True
    assert payme.set({"gateway": "payme", "url": "http://192.0.2.1/webhook"})["problem"] == ""


def test_settings_that_cannot_work_are_said_and_kept(payme: Desk) -> None:
    told = payme.set({"gateway": "click", "service_id": "many"})
    assert told["problem"] == NO_URL
    assert told["providers"]["click"]["service_id"] == "many"
    assert told["scenarios"][0]["name"].startswith("scenario 1, ")
    form = {"gateway": "click", "url": "http://127.0.0.1:1/", "service_id": "many"}
    assert payme.set(form)["problem"] == NO_KEY
    assert payme.set({**form, "key": SECRET})["problem"] == NO_SERVICE
    assert payme.set({**form, "service_id": "5"})["problem"] == ""
    with pytest.raises(Wrong, match=NO_ORDERS):
        list(payme.play(["wide numbers"]))


def test_the_scenarios_are_those_of_the_provider_and_the_type_of_account(payme: Desk) -> None:
    assert [each["name"] for each in payme.about()["scenarios"]] == [each.name for each in (*ONE_TIME, *AT_ONCE)]
    topped = payme.set({"gateway": "payme", "top_up": True})["scenarios"]
    assert "top up" in [each["name"] for each in topped]


def test_pyproject_lays_the_desk_out(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.paytechuz]\nnew-order = "shop:new_order"\naccount = ["order_id=1..40", "store=7"]\namount = 500050\n'
        'top-up = true\n[tool.paytechuz.click]\nurl = "http://127.0.0.1:1/x"\nservice-id = 5\nsecret-key = "secret"\n'
    )
    told = desk_of(read_config(tmp_path / "pyproject.toml"), None, "shop:status", remote=False).about()
    assert (told["gateway"], told["new_order"], told["status"]) == ("click", "shop:new_order", "shop:status")
    assert (told["account"], told["amount"], told["top_up"]) == (
        [("order_id", "1..40"), ("store", "7")],
        "5000.50",
        True,
    )
    assert told["providers"]["click"] == {
        "url": "http://127.0.0.1:1/x", "login": "Paycom", "service_id": "5", "key_known": True,
    }  # fmt: skip


# Playing


@pytest.mark.parametrize(
    ("shop", "gateway", "top_up", "names"),
    [
        (PaymeShop, "payme", False, [each.name for each in (*ONE_TIME[:8], *ONE_TIME[10:], *AT_ONCE)]),
        (PaymeWallets, "payme", True, ["top up", "top up of nothing"]),
        (ClickShop, "click", False, [each.name for each in (*CLICK, *CLICK_AT_ONCE)]),
        (ClickWallets, "click", True, ["top up"]),
    ],
    ids=["payme", "payme top-up", "click", "click top-up"],
)
def test_scenarios_are_played(shop: Any, gateway: str, top_up: bool, names: list[str]) -> None:  # noqa: FBT001
    with desk_at(opened(shop()).send, gateway, top_up=top_up) as desk:
        told = list(desk.play(names))
    assert [each["name"] for each in told if each["kind"] == "scenario"] == names
    assert [step for step in steps(iter(told)) if not step["ok"]] == []
    assert {step["scenario"] for step in steps(iter(told))} == set(names)


class NeverEnds(PaymeShop):
    """Performs a transaction that was cancelled: the state goes from -1 to 2."""

    def send(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        status, answer = super().send(body, headers)
        message = json.loads(body)
        if b"-31008" in answer and message["method"] == "PerformTransaction":
            result = {"transaction": message["params"]["id"], "perform_time": 1_763_900_123_457, "state": 2}
            return 200, json.dumps({"id": message["id"], "result": result}).encode()
        return status, answer


def test_a_wrong_answer_comes_with_why_and_a_move_that_nothing_may_make() -> None:
    with desk_at(opened(NeverEnds()).send) as desk:
        (wrong,) = [step for step in steps(desk.play(["create and cancel"])) if not step["ok"]]
    assert wrong["call"] == "PerformTransaction, after the cancel"
    assert wrong["why"].startswith("A cancelled payment that comes back delivers goods nobody paid for")
    moves = [exchange["move"] for exchange in wrong["exchanges"]]
    assert [(move["before"], move["after"], move["allowed"]) for move in moves] == [(-1, 2, False), (2, 2, True)]


def test_one_thing_is_played_at_a_time_and_can_be_stopped() -> None:
    asked_for, go_on = Event(), Event()
    shop = opened(PaymeShop())

    def slow(body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        asked_for.set()
        go_on.wait(20)
        answer: tuple[int, bytes] = shop.send(body, headers)
        return answer

    told: list[Told] = []
    with desk_at(slow) as desk:
        player = Thread(target=lambda: told.extend(desk.play(["bad credentials", "wrong amount"])))
        player.start()
        assert asked_for.wait(20)
        for other in (lambda: list(desk.play([])), lambda: desk.set({"gateway": "payme"}), lambda: desk.open_link("x")):
            with pytest.raises(Wrong, match=BUSY):
                other()
        desk.stop()
        go_on.set()
        player.join(20)
        assert len(steps(iter(told))) == 1
        assert [each["name"] for each in told if each["kind"] == "scenario"] == ["bad credentials"]
        assert len(steps(desk.play(["unknown transaction"]))) == 3


def test_an_endpoint_that_is_not_there_is_a_wrong_answer_and_no_crash() -> None:
    with desk_at(lambda *_: (200, b"")) as desk:
        pass
    assert verdicts(desk.play(["unknown transaction"])) == [("any call", "wrong")]
    assert "none: " in steps(desk.play(["unknown transaction"]))[0]["got"]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<script>alert(1)</script>",
        b"[" * 100_000,
        b'"' * 9,
        b"\xff\x00",
        b"1" * 200_000,
        b'{"result": {"state": true}}',
    ],
    ids=["empty", "markup", "deep", "quotes", "bytes", "long", "a state that is none"],
)
def test_whatever_is_answered_is_told_as_text(answer: bytes) -> None:
    with desk_at(lambda *_: (200, answer)) as desk:
        lines = list(desk.told(desk.play(["unknown transaction"])))
        lines += desk.told(desk.call({"call": "CheckTransaction", "state": "awaiting", "transaction": "x"}))
    told = [json.loads(line) for line in lines]
    assert {each["kind"] for each in told} == {"scenario", "step"}
    assert not any(step["ok"] for step in steps(iter(told)))
    assert max(map(len, lines)) < 200_000
    assert desk.watch.transactions == {}


# Single calls


def call(desk: Desk, name: str, transaction: str = "", account: str = "1", **given: str) -> Told:
    fields = [{"name": "id", "value": account}]
    (step,) = steps(
        desk.call({"call": name, "state": "awaiting", "transaction": transaction, "account": fields, **given})
    )
    return step


def verdict(step: Told) -> str:
    return "skipped" if step["skipped"] else "right" if step["ok"] else "wrong"


def test_a_payment_by_hand_each_call_judged_by_what_went_before(payme: Desk) -> None:
    for name, given, wanted in [
        ("CheckPerformTransaction", {}, "allow true"),
        ("CheckPerformTransaction", {"amount": "5000.02"}, "-31001"),
        ("CheckPerformTransaction", {"account": "99", "state": "unknown"}, "-31099 … -31050"),
        ("CreateTransaction", {"age": "43201000"}, "-31008"),
        ("CreateTransaction", {}, "state 1, create_time a time"),
        ("CheckPerformTransaction", {"state": "held"}, "-31099 … -31050, or -31008"),
        ("CheckTransaction", {}, "state 1, create_time a time"),
        ("PerformTransaction", {}, "state 2, perform_time a time"),
        ("PerformTransaction", {}, "state 2, perform_time a time"),
        ("CheckPerformTransaction", {"state": "paid"}, "-31099 … -31050, or -31008"),
        ("CreateTransaction", {}, "-31008"),
        ("CancelTransaction", {"reason": "5"}, "state -2, cancel_time a time, or -31007"),
        ("CancelTransaction", {"reason": "5"}, "state -2, cancel_time a time"),
        ("PerformTransaction", {}, "-31008"),
        ("GetStatement", {"hours": "1"}, "a list"),
    ]:  # fmt: skip
        step = call(payme, name, "A", **given)
        assert (name, step["expected"], verdict(step)) == (name, wanted, "right"), step


def test_a_late_transaction_is_expected_to_have_ended(payme: Desk) -> None:
    call(payme, "CreateTransaction", "A")
    payme.watch.transactions["payme", "A"].time = 1
    assert call(payme, "PerformTransaction", "A")["expected"] == "-31008"


@pytest.mark.parametrize("name", ["PerformTransaction", "CancelTransaction", "CheckTransaction"])
def test_of_a_transaction_that_was_never_seen_nothing_is_expected(payme: Desk, name: str) -> None:
    step = call(payme, name, "never seen")
    assert (verdict(step), step["got"]) == ("skipped", "-31003 Transaction not found")


def test_an_attempt_of_clicks_by_hand(click: Desk) -> None:
    for name, number, given, wanted in [
        ("Prepare", "7", {"amount": "999"}, "-2"),
        ("Prepare", "7", {"account": "99", "state": "unknown"}, "-5"),
        ("Prepare", "7", {"payment": "70"}, "0"),
        ("Prepare", "8", {"state": "held"}, "0 or -9"),
        ("Complete", "7", {}, "-9"),
        ("Complete", "8", {}, "0"),
        ("Complete", "8", {}, "-4"),
        ("Prepare", "8", {}, "-4"),
        ("Prepare", "9", {"state": "paid"}, "-4 or -5"),
        ("Cancel", "8", {}, "-9 or -4"),
        ("Cancel", "8", {}, "-9"),
    ]:  # fmt: skip
        step = call(click, name, number, **given)
        assert (name, number, step["expected"], verdict(step)) == (name, number, wanted, "right"), step
    for name, given in (("Complete", {}), ("Cancel", {})):
        assert verdict(call(click, name, "10", **given)) == "skipped"
    assert call(click, "Prepare", "11", account="2")["exchanges"][0]["prepare_id"] == 12
    assert verdict(call(click, "Complete", "11", account="2", prepare_id="5")) == "skipped"


@pytest.mark.parametrize("gateway", ["payme", "click"])
@pytest.mark.parametrize("state", ["awaiting", "held", "paid", "unknown"])
def test_an_order_is_brought_into_each_state_of_the_sandbox(gateway: str, state: str) -> None:
    with desk_at(opened(PAYME_SHOPS[gateway]()).send, gateway) as desk:
        told = list(desk.order(state))
        assert all(step["ok"] for step in steps(iter(told)))
        placed = told[-1]
        assert (placed["kind"], placed["state"]) == ("order", state)
        assert tiyin_of(placed["amount"]) == (PRICE if gateway == "payme" else CLICK_PRICE)
        name = "CheckPerformTransaction" if gateway == "payme" else "Prepare"
        account = dict(placed["account"])["id"]
        assert verdict(call(desk, name, "123", account=account, state=state)) == "right"


def test_a_wrong_answer_to_a_single_call_is_found() -> None:
    with desk_at(opened(NeverEnds()).send) as desk:
        for name in ("CreateTransaction", "CancelTransaction"):
            assert verdict(call(desk, name, "A", reason="3")) == "right"
        assert verdict(call(desk, "PerformTransaction", "A")) == "wrong"


# Again


def test_a_request_is_said_again_byte_for_byte_with_its_own_headers(payme: Desk) -> None:
    (first, *_) = steps(payme.play(["bad credentials"]))
    (again,) = steps(payme.repeat(first["exchanges"][0]["number"]))
    assert again["exchanges"][0]["asked"] == first["exchanges"][0]["asked"]
    assert again["got"] == SAME  # refused again: it carries the wrong key that it carried
    created = call(payme, "CreateTransaction", "A")
    (again,) = steps(payme.repeat(created["exchanges"][0]["number"]))
    assert (again["got"], verdict(again)) == (SAME, "skipped")


def test_another_answer_than_before_is_said(payme: Desk) -> None:
    number = call(payme, "CheckTransaction", "A")["exchanges"][0]["number"]
    call(payme, "CreateTransaction", "A")
    told = list(payme.repeat(number))
    assert [each.get("name") for each in told] == [AGAIN, None]
    assert told[1]["got"] == OTHER


def test_a_request_is_edited_and_said(payme: Desk) -> None:
    number = call(payme, "CheckTransaction", "A")["exchanges"][0]["number"]
    told = list(payme.send(number, '{"method": "Ünknown \udcff", "params": {}}', sign=False))
    assert told[0]["name"] == EDITED
    assert told[1]["exchanges"][0]["call"] == "Ünknown \udcff"
    assert "-32700" in told[1]["exchanges"][0]["answer_pretty"]


def test_an_edited_form_of_clicks_is_signed_anew_where_that_is_asked_for(click: Desk) -> None:
    exchange = call(click, "Prepare", "7")["exchanges"][0]
    body = exchange["asked"].replace("click_trans_id=7&", "click_trans_id=8&")
    for sign, error in ((False, -1), (True, 0)):
        (step,) = steps(click.send(exchange["number"], body, sign=sign))
        answer = json.loads(step["exchanges"][0]["answer_pretty"])
        assert answer["error"] == error


# Watching


def test_states_are_read_from_answers() -> None:
    watch = Watch()

    def hear(method: str, state: object) -> Move | None:
        asked_ = json.dumps({"method": method, "params": {"id": "A", "time": 5, "account": {"id": "1"}}})
        return watch.see("payme", Exchange(1, "/", asked_, 200, json.dumps({"result": {"state": state}}), 0, 0))

    assert hear("CreateTransaction", [1]) is None
    assert watch.account_state("1") is None
    assert hear("CreateTransaction", 1) == Move("A", 0, 1, allowed=True)
    assert watch.account_state("1") == "held"
    assert hear("CheckTransaction", 1) == Move("A", 1, 1, allowed=True)
    assert hear("PerformTransaction", 2) == Move("A", 1, 2, allowed=True)
    assert watch.account_state("1") == "paid"
    assert hear("CancelTransaction", -1) == Move("A", 2, -1, allowed=False)
    assert watch.account_state("1") == "awaiting"
    assert watch.state("payme", "A") == -1
    assert Watch().see(
        "payme", Exchange(1, "/", '{"params": {"id": "A"}}', 200, '{"result": {"state": 2}}', 0, 0)
    ) == Move("A", None, 2, allowed=True)


@pytest.mark.parametrize(
    ("text", "laid_out"),
    [
        ('{"a":1.50,"a":[{},[] ,12345678901234567890],"b":"{\\"c\\":,}"}', None),
        ("[]", "[]"),
        ("nothing", "nothing"),
        ("a=1&b=%D1%84+x&c=", "a = 1\nb = ф x\nc = "),
        ("a=1&&=", "a=1&&="),
    ],
)
def test_texts_are_laid_out_without_changing_a_part(text: str, laid_out: str | None) -> None:
    if laid_out is None:
        assert pretty(text) == (
            '{\n  "a": 1.50,\n  "a": [\n    {},\n    [],\n    12345678901234567890\n  ],\n  "b": "{\\"c\\":,}"\n}'
        )
    else:
        assert pretty(text) == laid_out


# Links


def test_paymes_link_is_read() -> None:
    link = checkout_link("587f72c7", 500_050, {"order_id": 42}, language="uz", return_url="https://shop.example/?a=b",
                         return_after=15_000)  # fmt: skip
    told = shown(read_link(link), "")
    assert told == {
        "gateway": "payme", "merchant": "587f72c7", "sandbox": False, "account": [("order_id", "42")],
        "amount": "5000.50", "language": "uz", "return_url": "https://shop.example/?a=b", "return_after": "15000",
        "problems": [], "payable": True, "actions": ["pay", "cancel", "pay twice", "lose the answer", "wait 12 hours"],
    }  # fmt: skip
    assert shown(read_link(checkout_link("5", 1, {"id": 1}, test=True)), "")["sandbox"] is True


def test_clicks_link_is_read() -> None:
    link = payment_link(SERVICE, 6, 500_050, "42", return_url="http://shop.example/", card_type="humo")
    told = shown(read_link(link), str(SERVICE))
    assert (told["gateway"], told["merchant"], told["account"]) == ("click", "12345", [("transaction_param", "42")])
    assert (told["amount"], told["return_url"], told["problems"]) == ("5000.50", "http://shop.example/", [])
    assert "wait 12 hours" not in told["actions"]
    assert shown(read_link(link), "777")["problems"] == [checkout.OTHER_SERVICE]


@pytest.mark.parametrize("host", ["http://127.0.0.1:8765", "http://localhost:8765"])
def test_a_link_that_leads_to_the_page_is_its_providers(host: str) -> None:
    link = checkout_link("5", 100, {"id": 1})
    assert read_link(link.replace("https://checkout.paycom.uz", host)) == read_link(link)
    link = payment_link(5, 6, 100, "1")
    assert read_link(link.replace("https://my.click.uz", host)) == read_link(link)
    assert read_link(link.replace("/services/pay", "/services/pay/")) == read_link(link)


def payme_link(text: str) -> str:
    return "https://checkout.paycom.uz/" + b64encode(text.encode()).decode()


CLICK_LINK: Final = "https://my.click.uz/services/pay?service_id=5&merchant_id=6&transaction_param=1"


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("https://checkout.paycom.uz/*", checkout.NO_BASE64),
        ("https://checkout.paycom.uz/" + b64encode(b"\xff\xfe").decode(), checkout.NO_BASE64),
        (payme_link("ac.id=1;a=500"), checkout.NO_MERCHANT),
        (payme_link("m=5;a=500"), checkout.NO_ACCOUNT),
        (payme_link("m=5;ac.id=;a=500"), checkout.NO_ACCOUNT),
        (payme_link("m=5;ac.id=1"), checkout.NO_AMOUNT),
        (payme_link("m=5;ac.id=1;a=-500"), checkout.NO_AMOUNT),
        (payme_link("m=5;ac.id=1;a=5e9"), checkout.NO_AMOUNT),
        (payme_link("m=5;ac.id=1;a=" + "9" * 30), checkout.NO_AMOUNT),
        (payme_link("m=5;ac.id=1;a=50"), checkout.SOM_FOR_TIYIN),
        (payme_link("m=5;ac.id=1;a=500;amount=1"), checkout.UNKNOWN_PART),
        (payme_link("m=5;ac.id=1;a=500;a=700"), checkout.DOUBLED_PART),
        (payme_link("m=5;ac.id=1;a=500;l=fr"), checkout.NO_LANGUAGE),
        (payme_link("m=5;ac.id=1;a=500;c=javascript:alert(1)"), checkout.NO_RETURN),
        (payme_link("m=5;ac.id=1;a=500;c=//shop.example"), checkout.NO_RETURN),
        (payme_link("m=5;ac.id=1;a=500;c=http://["), checkout.NO_RETURN),
        ("https://my.click.uz/services/pay?merchant_id=6&amount=5&transaction_param=1", checkout.NO_SERVICE),
        ("https://my.click.uz/services/pay?service_id=5&amount=5&transaction_param=1", checkout.NO_CLICK_MERCHANT),
        ("https://my.click.uz/services/pay?service_id=5&merchant_id=6&amount=5", checkout.NO_PARAMETER),
        (CLICK_LINK + "&amount=nan", checkout.NO_AMOUNT),
        (CLICK_LINK + "&amount=0", checkout.NO_AMOUNT),
        (CLICK_LINK + "&amount=5&x=1", checkout.UNKNOWN_PART),
        (CLICK_LINK + "&amount=5&amount=6", checkout.DOUBLED_PART),
        (CLICK_LINK + "&amount=5&return_url=data:,", checkout.NO_RETURN),
    ],
    ids=range(24),
)  # fmt: skip
def test_what_is_wrong_with_a_link_is_said(link: str, problem: str) -> None:
    told = shown(read_link(link), "")
    assert told["problems"] == [problem]
    assert told["return_url"] == ""


@pytest.mark.parametrize(
    "text",
    ["", "/", "https://shop.example/bT01", "https://my.click.uz/", "javascript:alert(1)", "http://127.0.0.1:80/"],
)
def test_what_is_no_link_is_refused(text: str) -> None:
    with pytest.raises(Wrong, match="this is no payer's link"):
        read_link(text)


# The checkout


def at_checkout(desk: Desk, order: str) -> None:
    payme = desk.settings.gateway == "payme"
    link = checkout_link("5", PRICE, {"id": order}) if payme else payment_link(SERVICE, 6, CLICK_PRICE, order)
    assert desk.open_link(link)["link"]["payable"]


@pytest.mark.parametrize("gateway", ["payme", "click"])
@pytest.mark.parametrize(
    "actions",
    [
        ["pay", "pay", "cancel", "pay"],
        ["cancel", "cancel", "pay"],
        ["pay twice", "pay twice"],
        ["lose the answer", "cancel"],
    ],
    ids=",".join,
)
def test_payers_do_as_they_like_and_a_right_shop_is_right(gateway: str, actions: list[str]) -> None:
    with desk_at(opened(PAYME_SHOPS[gateway]()).send, gateway) as desk:
        at_checkout(desk, "1")
        for action in actions:
            told = list(desk.pay(action))
            assert told[0]["name"] == action
            assert [step for step in steps(iter(told)) if not step["ok"] or step["skipped"]] == []
    assert len(desk.watch.transactions) > 0


def test_who_waits_12_hours_pays_too_late(payme: Desk) -> None:
    at_checkout(payme, "1")
    told = steps(payme.pay("wait 12 hours"))
    assert [verdict(step) for step in told] == ["right"] * 5
    assert [step["got"] for step in told if step["call"] == "PerformTransaction, past 12 hours"] == [
        "-31008 The operation is not possible"
    ]
    assert payme.watch.account_state("1") == "awaiting"


@pytest.mark.parametrize(("shop", "gateway"), [(PaymeWallets, "payme"), (ClickWallets, "click")])
def test_a_balance_is_paid_twice_and_rightly_so(shop: Any, gateway: str) -> None:
    with desk_at(opened(shop()).send, gateway, top_up=True) as desk:
        at_checkout(desk, "1")
        assert {verdict(step) for step in steps(desk.pay("pay twice"))} == {"right"}
        assert shop.__mro__[1] in (MemoryWallets, ClickMemoryWallets)
        assert {known.state for known in desk.watch.transactions.values()} == {2}
        assert len(desk.watch.transactions) == 2


@pytest.mark.parametrize("gateway", ["payme", "click"])
def test_a_payer_who_is_turned_away_reads_why(gateway: str) -> None:
    with desk_at(opened(PAYME_SHOPS[gateway]()).send, gateway) as desk:
        at_checkout(desk, "999")
        for action in ("pay", "cancel", "lose the answer"):
            (step,) = steps(desk.pay(action))
            assert (verdict(step), step["why"]) == ("skipped", checkout.GONE)


class PaidTwice(PaymeShop):
    """Lets a second payer in: an order has no hold."""

    def find_account(self, fields: Any) -> Any:
        found = super().find_account(fields)
        return None if found is None else type(found)(id=found.id, amount_tiyin=found.amount_tiyin)


def test_a_shop_that_is_paid_twice_is_found_at_the_checkout() -> None:
    with desk_at(opened(PaidTwice()).send) as desk:
        at_checkout(desk, "1")
        wrong = [step for step in steps(desk.pay("pay twice")) if not step["ok"]]
        assert [step["call"] for step in wrong] == [
            "CheckPerformTransaction, a second payer", "CreateTransaction, a second payer",
        ]  # fmt: skip
        assert [step["call"] for step in steps(desk.pay("pay")) if not step["ok"]] == ["CheckPerformTransaction"]


@pytest.mark.parametrize(("gateway", "action"), [("click", "wait 12 hours"), ("payme", "steal")])
def test_what_a_payer_cannot_do_is_refused(gateway: str, action: str) -> None:
    with desk_at(opened(PAYME_SHOPS[gateway]()).send, gateway) as desk:
        at_checkout(desk, "1")
        with pytest.raises(Wrong, match=action):
            list(desk.pay(action))


def test_a_link_of_the_other_provider_changes_who_is_played(payme: Desk) -> None:
    told = payme.open_link(payment_link(SERVICE, 6, 500, "1"))
    assert told["about"]["gateway"] == "click"
    assert told["about"]["problem"] == NO_URL


# The texts


def test_every_text_of_the_page_stands_in_russian_and_uzbek() -> None:
    wanted = [*texts.of_the_page(), *texts.of_the_scenarios(), *texts.of_the_server()]
    assert [text for text in wanted for part in texts.lacking(text, TEXTS) if part] == []
    assert len(set(wanted)) > 250


def test_every_call_of_a_scenario_is_named_in_russian_and_uzbek() -> None:
    played = [
        step for shop in (MemoryShop, MemoryWallets, ClickMemoryShop, ClickMemoryWallets) for step in shop().play()
    ]
    with desk_at(opened(PaymeShop()).send) as desk, desk_at(opened(ClickShop()).send, "click") as other:
        named = [step["call"] for each in (desk, other) for step in all_actions(each)]
    said = [*texts.of_steps(played), *named]
    assert {part for text in said for part in texts.lacking(text, TEXTS)} == set()


def all_actions(desk: Desk) -> Iterator[Told]:
    for number, action in enumerate(checkout.ACTIONS[desk.settings.gateway], start=1):
        if action != "wait 12 hours":
            at_checkout(desk, str(number))
            yield from steps(desk.pay(action))
    yield from steps(desk.order("paid"))


def test_a_text_without_a_translation_is_found() -> None:
    assert list(texts.lacking("CreateTransaction, upside down", TEXTS)) == ["upside down"]
    assert list(texts.lacking("scenario 3, prepare", TEXTS)) == []
    assert list(texts.lacking("without amount, again, error -5", TEXTS)) == []


@pytest.mark.parametrize("language", ["ru", "uz"])
def test_translations_keep_values_and_code_and_are_in_their_own_letters(language: str) -> None:
    for english, translated in TEXTS.items():
        text = translated[language]
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", english)), english
        assert sorted(set(re.findall(r"`[^`]+`", text))) == sorted(set(re.findall(r"`[^`]+`", english))), english
        assert set(re.findall(r"-?\d{2,}", text)) == set(re.findall(r"-?\d{2,}", english)), english
        assert (
            bool(re.search("[а-яё]", text, re.IGNORECASE)) is (language == "ru")
            or text == english
            or not re.search("[a-z]{3}", english)
        ), text
        assert "'" not in text or "'" not in english.replace("'s", ""), text
        assert "o'" not in text
    assert all(set(each) == {"ru", "uz"} for each in TEXTS.values())


def test_no_text_is_translated_in_vain() -> None:
    said = {*texts.of_the_page(), *texts.of_the_scenarios(), *texts.of_the_server()}
    for shop in (MemoryShop, MemoryWallets, ClickMemoryShop, ClickMemoryWallets):
        said |= {*texts.of_steps(shop().play())}
    script = "".join(path.read_text() for path in WEB.glob("*.js"))
    python = "".join(
        path.read_text()
        for folder in ("paytechuz/cli/page", "paytechuz_core/testing")
        for path in (ROOT / folder).glob("*.py")
    )
    parts = {part for text in said for part in (text, *text.split(", "))}
    left = {
        text for text in TEXTS if text not in parts and f'"{text}"' not in script + python and "{value}" not in text
    }
    assert {text for text in left if not all(part in python for part in text.split())} == set()


# The page's files


def test_the_page_names_no_other_host_and_believes_no_markup() -> None:
    for path in WEB.iterdir():
        text = path.read_text()
        hosts = set(re.findall(r"https?://([\w-][\w.-]+)", text))
        assert hosts <= {"127.0.0.1", "www.w3.org", "checkout.paycom.uz", "test.paycom.uz", "my.click.uz"}, path.name
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|\bon\w+=\"", text
        )
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=", text), path.name


def test_every_file_of_the_page_can_be_asked_for() -> None:
    assert {path.name for path in WEB.iterdir()} == {path.name for path in FILES.values()}


# The command


def test_serve_prints_where_the_page_is_and_stops_at_ctrl_c(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[str] = []

    def interrupted(server: PageServer) -> None:
        seen.append(f"http://127.0.0.1:{server.server_port}/")
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PageServer, "serve_forever", interrupted)
    monkeypatch.setattr("webbrowser.open", seen.append)
    for option in ("--open", "--no-open"):
        done = CliRunner().invoke(app, ["serve", option])
        assert (done.exit_code, done.output) == (0, f"The page is at {seen[-1]}\nCtrl-C stops it.\n\nStopped.\n")
    assert len(seen) == 3
    assert seen[0] == seen[1] != seen[2]


def test_a_port_that_is_taken_and_a_file_that_is_none_are_said(payme: Desk, tmp_path: Path) -> None:
    with page_server(payme) as server:
        done = CliRunner().invoke(app, ["serve", "--no-open", "--port", str(server.server_port)])
        assert (done.exit_code, "cannot be listened on" in done.output) == (2, True)
    done = CliRunner().invoke(app, ["serve", "--no-open", "--config", str(tmp_path / "absent.toml")])
    assert (done.exit_code, "cannot be read" in done.output) == (2, True)
