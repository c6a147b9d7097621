"""The application: `uvicorn examples.fastapi_shop.main:app`.

Beside the providers' endpoints it has the two pages that a shop cannot do without: placing an order and looking at it.
They stand in for the shop's own pages, so nobody has to log in.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, HTTPException
from sqlalchemy.orm import Session

from examples.fastapi_shop.database import engine, get_db
from examples.fastapi_shop.models import Base, Order
from examples.fastapi_shop.webhook import router
from paytechuz.integrations.fastapi import run_migrations


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Create or upgrade the tables before the first request."""
    del app
    run_migrations(engine)
    Base.metadata.create_all(engine)
    yield
    engine.dispose()


app = FastAPI(title="A shop that takes Payme and Click", lifespan=lifespan)
app.include_router(router)

Database = Annotated[Session, Depends(get_db)]
Price = Annotated[Decimal, Body(embed=True, gt=0, max_digits=12, decimal_places=2)]


@app.post("/orders", status_code=201)
def place_order(db: Database, amount: Price) -> dict[str, Any]:
    """Place an order of `amount` som."""
    order = Order(amount=amount)
    db.add(order)
    db.commit()
    return shown(order)


@app.get("/orders/{number}")
def show_order(db: Database, number: int) -> dict[str, Any]:
    """Say what became of an order."""
    order = db.get(Order, number)
    if order is None:
        raise HTTPException(404)
    return shown(order)


def shown(order: Order) -> dict[str, Any]:
    """Show an order."""
    return {"id": order.id, "amount": str(order.amount), "status": order.status}
