"""`python -m tests.fuzz.openapi`: calls drawn from the endpoint's own OpenAPI document, at an app in process.

Whatever is sent, HTTP says 200, and the answer is what the document says it is. Bodies are drawn by schemathesis: those
that the document allows, and those that it does not. Most then get the right credentials, to come further than the
first gate. Two applications that answer otherwise must be found first, or nothing is shown by finding nothing.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import schemathesis
from fastapi import FastAPI, Request, Response
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from paytechuz.integrations.fastapi import (
    ClickWebhookHandler,
    PaymeWebhookHandler,
    click_router,
    payme_router,
    run_migrations,
)
from paytechuz_fastapi.openapi import CLICK_ROUTE, PAYME_ROUTE
from tests.core import click_wire, wire

EXAMPLES: Final = 300
CHECKS: Final = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
]  # fmt: skip
MODES: Final = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE


class Base(DeclarativeBase):
    """The shop's tables."""


class Order(Base):
    """An order."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[int] = mapped_column(default=5000)
    status: Mapped[str] = mapped_column(String(20), default="pending")


def shop_in(folder: Path) -> FastAPI:
    """A shop with both providers and some orders, in SQLite."""
    engine = create_engine(f"sqlite:///{folder / 'shop.sqlite3'}")
    run_migrations(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as db:
        db.add_all(Order() for _ in range(50))
        db.commit()

    def get_db() -> Iterator[Session]:
        with Session(engine) as db:
            yield db

    app = FastAPI()
    app.include_router(
        payme_router(PaymeWebhookHandler, get_db, payme_id="id", payme_key=wire.KEY, account_model=Order)
    )
    app.include_router(
        click_router(
            ClickWebhookHandler,
            get_db,
            service_id=click_wire.SERVICE,
            secret_key=click_wire.SECRET,
            account_model=Order,
        )
    )
    return app


def without_a_result() -> FastAPI:
    """A shop that answers Payme with neither a result nor an error."""
    return answering(PAYME_ROUTE, lambda _: Response(b'{"id": 1}', media_type="application/json"))


def with_another_status() -> FastAPI:
    """A shop that answers Click's bad forms with HTTP 400."""
    good = b'{"click_trans_id": 1, "merchant_trans_id": "1", "merchant_prepare_id": 1, "error": 0, "error_note": "ok"}'

    def answer(body: bytes) -> Response:
        return Response(good, 200 if b"sign_time" in body else 400, media_type="application/json")

    return answering(CLICK_ROUTE, answer)


def answering(route: dict[str, Any], answer: Callable[[bytes], Response]) -> FastAPI:
    app = FastAPI()

    async def webhook(request: Request) -> Response:
        return answer(await request.body())

    app.add_api_route("/webhook", webhook, methods=["POST"], **route)
    return app


def faults_of(app: FastAPI, examples: int) -> tuple[list[BaseException], Counter[str]]:
    """Call every operation of an app, and give what was wrong and what was answered."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    faults: list[BaseException] = []
    answers: Counter[str] = Counter()
    for operation in (found.ok() for found in schema.get_all_operations()):
        for mode in MODES:

            @settings(
                max_examples=examples, deadline=None, database=None, verbosity=Verbosity.quiet,
                suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate, Phase.shrink],
            )  # fmt: skip
            @given(case=operation.as_strategy(generation_mode=mode))
            def call(case: schemathesis.Case) -> None:
                response = case.call(**credentials(case))
                case.validate_response(response, checks=CHECKS)
                assert response.status_code == 200, response.status_code
                answers[outcome(response.json())] += 1

            try:
                call()
            except (Exception, BaseExceptionGroup) as fault:  # noqa: BLE001 - a fault is what is looked for
                faults.append(fault)
    return faults, answers


def credentials(case: schemathesis.Case) -> dict[str, Any]:
    """Give a call the right credentials, seven times of eight."""
    random = Random(str(case.body))  # the same for the same call, which may be repeated
    if random.randrange(8) == 0:
        return {}
    if case.media_type == "application/json":
        return {"headers": {"Authorization": wire.basic()}}
    if isinstance(case.body, dict):
        form = {str(name): str(value) for name, value in case.body.items()}
        form |= {"service_id": str(click_wire.SERVICE)} if random.randrange(8) else {}
        case.body.update(form)
        case.body["sign_string"] = click_wire.signature(
            {n: v.encode(errors="replace").decode() for n, v in form.items()}
        )
    return {}


def outcome(answer: dict[str, Any]) -> str:
    """Name an answer."""
    error = answer.get("error", 0)
    return str(error["code"] if isinstance(error, dict) else error or "success")


def main(examples: int) -> int:
    """Find the broken ones, then look at the shop."""
    for broken in (without_a_result, with_another_status):
        faults, _ = faults_of(broken(), 50)
        if not faults:
            print(f"The application {broken.__name__} was not found to be broken.")
            return 1
    with tempfile.TemporaryDirectory() as folder:
        faults, answers = faults_of(shop_in(Path(folder)), examples)
    told = ", ".join(f"{answer} {count}" for answer, count in answers.most_common())
    print(f"openapi: {answers.total()} calls by schemathesis {schemathesis.__version__}: {told}")
    for fault in faults:
        print(f"openapi: FOUND SOMETHING:\n{fault}", *getattr(fault, "exceptions", ()), sep="\n")
    return len(faults)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLES))
