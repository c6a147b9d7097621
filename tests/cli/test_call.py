"""`paytechuz call` is the provider for one call, and `paytechuz replay` says again what was said."""

from pathlib import Path

import pytest

from tests.cli.conftest import Serve, at, run
from tests.cli.other_shop import KEY, AnotherAnswer, OtherShop, Server, Unauthorized

ID = "5305e3bab097f420a62ced0b"


def call(server: Server, method: str, *options: str) -> tuple[int, str]:
    done = run("call", "payme", method, "--url", f"{server.url}/payme", "--key", KEY, *options)
    assert KEY not in done.output
    return done.exit_code, done.output


def test_a_payment_is_made_call_by_call(serve: Serve) -> None:
    server = serve(OtherShop())
    server.shop.new_order()
    order = ("--account", "order=1", "--amount", "500000")
    assert call(server, "check-perform", *order)[0] == 0
    assert "state 1" in call(server, "create", *order, "--id", ID, "--twice")[1]
    assert "state 2" in call(server, "perform", "--id", ID)[1]
    assert server.shop.orders == {"1": "paid"}
    assert "1 in states 2" in call(server, "statement")[1]
    assert "state -2" in call(server, "cancel", "--id", ID)[1]
    assert '"reason": 5' in call(server, "check", "--id", ID)[1]


def test_an_error_by_the_protocol_is_an_answer(serve: Serve) -> None:
    status, shown = call(serve(OtherShop()), "perform", "--id", ID)
    assert (status, "-31003" in shown) == (0, True)


def test_any_method_can_be_called_with_any_parameters(serve: Serve) -> None:
    status, shown = call(serve(OtherShop()), "SetFiscalData", "--param", 'id="x"', "--param", "type=[1]")
    assert (status, "-32601" in shown) == (0, True)
    assert '"type": [\n' in shown


def test_an_answer_that_is_none_is_told_with_its_price(serve: Serve) -> None:
    server = serve(Unauthorized())
    done = run("call", "payme", "check", "--id", ID, "--url", f"{server.url}/payme", "--key", "wrong")
    assert done.exit_code == 1
    assert "HTTP 401" in done.output
    assert "Payme takes every HTTP status but 200 for a system failure" in done.output


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("paypal check", "paypal is not known"),
        ("payme perform", "needs the transaction's id"),
        ("payme create", "needs --account"),
        ("payme pay", "is no method of Payme's"),
        ("payme check --id 1 --param id=x", "must be JSON"),
        ("click complete --service-id 1 --account order=1 --amount 5som", "--prepare-id"),
        ("click refund --service-id 1", "is no call of Click's"),
        ("click prepare --service-id 1", "needs --account"),
        ("click prepare --service-id 1 --account id=1 --amount 5000som --id 1x", "is no click_trans_id"),
    ],
    ids=range(9),
)
def test_what_is_missing_is_told(command: str, told: str, serve: Serve) -> None:
    server = serve(OtherShop())
    done = run("call", *command.split(), "--url", f"{server.url}/payme", "--key", KEY)
    assert done.exit_code == 2, done.output
    assert told in " ".join(done.output.split())


def test_what_was_said_gets_the_same_answer_again_and_a_different_one_is_shown(serve: Serve, tmp_path: Path) -> None:
    record = str(tmp_path / "said.jsonl")
    server = serve(OtherShop())
    run("check", *at(server), "--only", "malformed requests", "--record", record)
    where = ("--url", f"{server.url}/payme", "--key", KEY)
    again = run("replay", record, *where)
    assert again.exit_code == 0, again.output
    assert " sent, 0 answered otherwise than before." in again.output
    server = serve(AnotherAnswer())
    run("check", *at(server), "--only", "create and cancel", "--record", record)
    again = run("replay", record, "--url", f"{server.url}/payme", "--key", KEY, "--number", "2", "--number", "3")
    assert "2 sent, 1 answered otherwise than before." in again.output
    assert again.exit_code == 1


def test_what_is_no_record_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{}\n")
    done = run("replay", str(tmp_path / "x"))
    assert done.exit_code == 2
    assert "is no record" in done.output
