"""The application: `uvicorn main:app --port 8000`.

Beside the providers' endpoints it has one page to place an order, and one to look at it and pay. They stand in for the
shop's own pages, so nobody has to log in.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal, InvalidOperation
from html import escape
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from database import engine, get_db
from models import Base, Order
from payments import links, router
from paytechuz.integrations.fastapi import run_migrations

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Shop</title>
<style>body {{ font: 1.1rem/1.6 system-ui; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}</style>
{}
</html>
"""
FORM = """
<form method="post" action="/orders"><input name="amount" value="5000.00"> som <button>Order</button></form>
"""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Create or upgrade the tables before the first request."""
    run_migrations(engine)
    Base.metadata.create_all(engine)
    yield


app = FastAPI(title="A shop that takes Payme and Click", lifespan=lifespan)
app.include_router(router)

Database = Annotated[Session, Depends(get_db)]


async def amount_asked_for(request: Request) -> Decimal:
    """Read the price in som from the form: more than nothing, and no fraction of a tiyin."""
    body = (await request.body()).decode(errors="replace")
    try:
        amount = Decimal(parse_qs(body)["amount"][0])
        if 0 < amount < 10**10 and amount == round(amount, 2):
            return amount
    except (KeyError, InvalidOperation):
        pass
    raise HTTPException(422, "an amount in som is more than nothing, with two digits after the point at most")


@app.get("/", response_class=HTMLResponse)
def orders(db: Database) -> str:
    """Show the latest orders, and a form to place one."""
    latest = db.scalars(select(Order).order_by(Order.id.desc()).limit(20))
    rows = "".join(f'<li><a href="/orders/{each.id}">Order {each.id}</a>: {shown(each)}' for each in latest)
    return PAGE.format(f"<h1>Shop</h1>{FORM}<ul>{rows}</ul>")


@app.post("/orders")
def place_order(db: Database, amount: Annotated[Decimal, Depends(amount_asked_for)]) -> RedirectResponse:
    """Place an order, and go to its page."""
    db.add(order := Order(amount=amount))
    db.commit()
    return RedirectResponse(f"/orders/{order.id}", status_code=303)


@app.get("/orders/{number}", response_class=HTMLResponse)
def order(request: Request, db: Database, number: int) -> str:
    """Say what became of an order, and where it can be paid."""
    found = db.get(Order, number)
    if found is None:
        raise HTTPException(404)
    here = str(request.url_for("order", number=number))
    ways = links(found, return_url=here) if found.status == "pending" else {}
    pay = "".join(f'<p><a href="{escape(link)}">Pay with {name}</a>' for name, link in ways.items())
    return PAGE.format(f'<h1>Order {found.id}</h1><p>{shown(found)}{pay}<p><a href="/">All orders</a>')


def shown(order: Order) -> str:
    """Show an order in one line."""
    return f"{order.amount:,} som, {escape(order.status)}"
