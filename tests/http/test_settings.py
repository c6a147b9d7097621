"""What a merchant may set: keys that rotate, several account fields, an own lookup, the ready route."""

import json
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from paytechuz.integrations.fastapi import ConfigurationError, payme_router
from paytechuz_core.sql import PaymentTransaction
from tests.http.clients import FASTAPI, KEY, NOON, TIYIN, Client, Order, basic, read_answer

Open = Callable[..., Client]
Steps = Generator[Any, Any, Any]

ASK = {"id": 1, "method": "CheckTransaction", "params": {"id": "unknown"}}


@pytest.mark.parametrize("keys", [["old", KEY], ("old", KEY), lambda: ["old", KEY], lambda: ("", "old", KEY)])
def test_several_keys_are_valid_while_they_rotate(open_shop: Open, keys: Any) -> None:
    shop = open_shop(settings={"payme_key": keys})
    for key, code in (("old", -31003), (KEY, -31003), ("new", -32504), ("", -32504)):
        assert shop.message(ASK, {"Authorization": basic(key)}).code == code


def test_a_changed_password_is_the_key_at_once_and_the_old_one_is_not(open_shop: Open) -> None:
    keys = [KEY]

    def change_password(self: Any, params: Any) -> Steps:
        keys[:] = [params["password"]]
        yield self.db.commit()

    shop = open_shop(habits=[change_password], settings={"payme_key": lambda: list(keys)})
    new = {"id": 1, "method": "ChangePassword", "params": {"password": "new:key"}}
    same = {"id": 1, "method": "ChangePassword", "params": {"password": KEY}}
    assert shop.call("ChangePassword", password=" ").error["data"] == "password"
    assert (shop.message(same).code, shop.hooks) == (-32504, [])
    assert shop.message(new).result == {"success": True}
    assert shop.message(ASK).code == -32504
    assert shop.message(ASK, {"Authorization": basic("new:key")}).code == -31003


def test_a_password_that_could_not_be_stored_is_a_system_error(open_shop: Open) -> None:
    def change_password(self: Any, params: Any) -> None:
        del self, params
        raise OSError

    shop = open_shop(habits=[change_password], settings={"payme_key": lambda: KEY})
    assert shop.call("ChangePassword", password="new").code == -32400
    assert shop.message(ASK).code == -31003


@pytest.mark.every_database
def test_an_account_may_have_several_fields_and_all_must_fit(open_shop: Open) -> None:
    fields = {"account_field": ("order_id", "phone"), "account_column": ("id", "voucher")}
    shop = open_shop(settings=fields)
    order = shop.database.order(voucher="+998901234567")

    def check(**account: Any) -> Any:
        answer = shop.call("CheckPerformTransaction", amount=TIYIN, account=account)
        return answer.code and (answer.code, answer.error["data"])

    assert check(order_id=order, phone="+998901234567") is None
    assert check(order_id=order, phone="+998901234568") == (-31050, "order_id")
    assert check(order_id=order) == (-31050, "phone")
    assert check(phone="+998901234567") == (-31050, "order_id")
    account = {"order_id": order, "phone": "+998901234567"}
    shop.call("CreateTransaction", id="a", time=NOON, amount=TIYIN, account=account).ok()
    assert check(**account) == (-31051, "order_id")
    assert (
        shop.call("CreateTransaction", id="a", time=NOON, amount=TIYIN, account={**account, "phone": "1"}).code
        == -31050
    )


@pytest.mark.session
@pytest.mark.every_database
def test_an_account_may_be_found_by_the_shops_own_code(open_shop: Open) -> None:
    """Its hold is then known only with the account, and two spellings of one account are still one account."""

    def find_account(self: Any, account: Any) -> Steps:
        voucher = str(account["order_id"]).upper()
        return (yield self.db.execute(select(Order).where(Order.voucher == voucher))).scalar_one_or_none()

    shop = open_shop(habits=[find_account])
    order = shop.database.order(voucher="UZ-7")
    assert shop.check_perform("uz-8").code == -31050
    shop.create("a", "uz-7").ok()
    assert (shop.create("b", "UZ-7").code, shop.check_perform("Uz-7").code) == (-31051, -31051)
    answers = shop.at_once([lambda: shop.perform("a"), lambda: shop.perform("a")])
    assert [answer.result["state"] for answer in answers] == [2, 2]
    assert shop.database.payment("a")["account_id"] == str(order)


@pytest.mark.session
@pytest.mark.every_database
def test_rivals_for_an_account_found_by_the_shops_own_code_leave_one_winner(open_shop: Open) -> None:
    def find_account(self: Any, account: Any) -> Steps:
        return (yield self.db.execute(select(Order).where(Order.voucher == account["order_id"]))).scalar_one_or_none()

    shop = open_shop(habits=[find_account])
    shop.database.order(voucher="UZ-7")
    names = [f"rival-{place}" for place in range(12)]
    answers = shop.at_once([lambda name=name: shop.create(name, "UZ-7") for name in names])  # type: ignore[misc]
    assert sorted((answer.code for answer in answers), key=str) == [-31051] * 11 + [None]


def test_the_accounts_field_is_the_models_by_default(open_shop: Open) -> None:
    shop = open_shop(settings={"account_field": "id", "account_column": None})
    order = shop.database.order()
    for account in ({"id": str(order)}, {"id": order}):
        assert shop.call("CheckPerformTransaction", amount=TIYIN, account=account).code is None
    answer = shop.call("CheckPerformTransaction", amount=TIYIN, account={"order_id": order})
    assert answer.error["data"] == "id"


@pytest.mark.every_database
def test_an_order_that_another_provider_holds_is_refused_and_its_payments_are_not_paymes(shop: Client) -> None:
    held, other = shop.database.order(), shop.database.order()
    shop.create("a", held).ok()
    with shop.database.engine.begin() as connection:
        taken_over = {"gateway": "click", "account_id": str(other), "hold": f"{Order.__tablename__}:{other}"}
        connection.execute(update(PaymentTransaction).values(transaction_id="b", **taken_over))
    assert (shop.check_perform(other).code, shop.create("c", other).code) == (-31051, -31051)
    assert (shop.check("b").code, shop.perform("b").code, shop.cancel("b").code) == (-31003, -31003, -31003)
    assert shop.statement(NOON, NOON) == []
    shop.create("b", held).ok()
    assert len(shop.database.payments()) == 2, "one id may be used by two providers"


def test_an_own_lookup_costs_one_more_read_at_most(open_shop: Open) -> None:
    def find_account(self: Any, account: Any) -> Steps:
        return (yield self.db.get(self.model, int(account["order_id"])))

    shop = open_shop(habits=[find_account])
    order = shop.database.order()
    shop.check_perform(order).ok()
    with shop.database.watch() as seen:
        shop.create("a", order).ok()
    assert (len(seen.statements) <= 4, seen.commits) == (True, 1), seen.statements


# FastAPI's ready route


def routed(shop: Client, **settings: Any) -> FastAPI:
    """Make an application by the three lines of the documentation."""

    def get_db() -> Iterator[Session]:
        with Session(shop.database.engine) as db:
            yield db

    async def get_async_db() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(shop.database.async_engine) as db:
            yield db

    app = FastAPI()
    given = {"payme_id": "x", "payme_key": KEY, "account_model": Order, "clock": shop.clock, **settings}
    app.include_router(payme_router(shop.handler_class, get_async_db if shop.is_async else get_db, **given))
    return app


def ask(shop: Client, app: FastAPI, method: str, path: str, content: bytes) -> httpx.Response:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://shop", trust_env=False
        ) as http:
            return await http.request(method, path, content=content, headers={"Authorization": basic(KEY)})

    return shop.database.portal.call(send)


@pytest.mark.clients(*FASTAPI)
def test_the_ready_route_takes_a_payment_and_refuses_other_methods_with_200(shop: Client) -> None:
    app = routed(shop, account_field="order_id")
    order = shop.database.order()

    def call(method: str, **params: Any) -> Any:
        body = json.dumps({"id": 1, "method": method, "params": params}).encode()
        return read_answer(ask(shop, app, "POST", "/payments/payme/webhook", body)).result["state"]

    account = {"order_id": str(order)}
    assert call("CreateTransaction", id="a", time=NOON, amount=TIYIN, account=account) == 1
    assert call("PerformTransaction", id="a") == 2
    assert shop.database.find(order).status == "paid"
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert read_answer(ask(shop, app, method, "/payments/payme/webhook", b"")).code == -32300


@pytest.mark.clients(*FASTAPI)
def test_the_ready_route_describes_itself_in_openapi(shop: Client) -> None:
    app = routed(shop, path="/hook")
    route = json.loads(ask(shop, app, "GET", "/openapi.json", b"").content)["paths"]["/hook"]
    assert route.keys() == {"post"}
    (schema,) = (each["schema"] for each in route["post"]["requestBody"]["content"].values())
    assert {each["title"] for each in schema["oneOf"]} >= {"CheckPerformTransaction", "GetStatement", "SetFiscalData"}


@pytest.mark.clients(*FASTAPI)
@pytest.mark.parametrize(
    "wrong", [{"payme_key": ""}, {"payme_id": ""}, {"account_field": "nothing"}, {"amount_field": "x"}]
)
def test_the_ready_route_refuses_at_start_what_cannot_work(shop: Client, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        routed(shop, **wrong)
