"""`manage.py check`: each problem from a real mistake, by its own number and with its fix; none in a right project."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial, wraps
from pathlib import Path
from typing import Any, Final

import django
import pytest
from django.core.checks import CheckMessage, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connections, models
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.test import override_settings
from django.test.utils import isolate_apps
from django.urls import include, path, re_path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from paytechuz.integrations.django import ClickWebhookView, PaymeWebhookView
from paytechuz_core.doctor import look_at_endpoint
from paytechuz_django.checks import PROBLEMS
from paytechuz_django.management.commands.paytechuz_doctor import in_process
from paytechuz_django.routes import webhooks
from tests.databases import sqlite
from tests.django.project import add_database, on
from tests.docs.pages import DOCS, pages

KEY: Final = "canary#k8SJ:dkQ9"
SECRET: Final = "canary#8aQx3nq1Zk"
PAYME: Final = {"PAYME_ID": "587f72c72cac0d162c722ae2", "PAYME_KEY": KEY, "ACCOUNT_MODEL": "shop.Order"}
CLICK: Final = {"SERVICE_ID": 12345, "SECRET_KEY": SECRET, "ACCOUNT_MODEL": "shop.Order"}
RIGHT: Final[dict[str, dict[str, Any]]] = {"PAYME": PAYME, "CLICK": CLICK}
PAGE: Final = DOCS / "reference/django-checks.md"


class ShopPayme(PaymeWebhookView):
    """The shop's view."""


class ShopClick(ClickWebhookView):
    """And for Click."""


class AsyncHooks(PaymeWebhookView):
    async def successfully_payment(self, params: Any, transaction: Any) -> None:
        """Never run."""


class Protected(PaymeWebhookView):
    @method_decorator(csrf_protect)
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer."""
        return super().dispatch(request, *args, **kwargs)


@method_decorator([never_cache, csrf_protect], name="dispatch")
class ProtectedToo(PaymeWebhookView):
    """By a list, on the class."""


@method_decorator(never_cache, name="dispatch")
class Decorated(PaymeWebhookView):
    """By what does no harm."""


class Raising(PaymeWebhookView):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        message = f"my key is {KEY}"
        raise LookupError(message)


class StrictCsrf(CsrfViewMiddleware):
    """CSRF protection of the shop's own."""


def bare(view: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate without functools.wraps."""

    def wrapper(request: HttpRequest) -> Any:
        return view(request)

    return wrapper


def wrapping(view: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate as one should."""

    @wraps(view)
    def wrapper(request: HttpRequest) -> Any:
        return view(request)

    return wrapper


def routed(view: Any = None, **settings: Any) -> Any:
    """Route a view."""
    return path("payme", (view or ShopPayme).as_view(**settings))


def problems(*patterns: Any, databases: list[str] | None = None, **settings: Any) -> list[CheckMessage]:
    """Run the checks of a project with these routes and settings."""
    told = {"PAYTECHUZ": RIGHT, "DEBUG": True, **settings}
    with override_settings(ROOT_URLCONF=patterns or None, **told):
        messages = run_checks(tags=["paytechuz"], databases=databases)
    shown = "".join(map(str, messages))
    assert KEY not in shown
    assert SECRET not in shown
    return list(messages)


def payme(**changed: Any) -> dict[str, Any]:
    """The right settings but for these; None leaves one out."""
    return {"PAYME": {name: value for name, value in {**PAYME, **changed}.items() if value is not None}}


def only(*patterns: Any, **settings: Any) -> CheckMessage:
    """Run the checks of a project with one mistake."""
    (message,) = problems(*patterns, **settings)
    return message


@pytest.fixture(autouse=True)
def _no_keys_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAYME_ID", "PAYME_KEY", "CLICK_SERVICE_ID", "CLICK_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)


# A right project

GUARDED: Final[dict[str, Callable[[], Any]]] = {
    "no view at all": lambda: path("", lambda _: HttpResponse()),
    "a view": routed,
    "both": lambda: include([routed(), path("click", ShopClick.as_view())]),
    "a view of another's": lambda: path("", View.as_view()),
    "wrapped as it should be": lambda: path("", wrapping(ShopPayme.as_view())),
    "decorated by Django": lambda: path("", never_cache(Decorated.as_view())),
    "protected by a decorator that lets it pass": lambda: path("", csrf_protect(ShopPayme.as_view())),
    "everything by attributes": lambda: routed(
        type("Own", (ShopPayme,), {"payme_id": "1", "payme_key": staticmethod(lambda: KEY), "amount_field": "paid"})
    ),
    "everything in as_view": lambda: routed(
        ClickWebhookView, service_id="5", secret_key=SECRET, account_model="tests.django.shop.models.UuidOrder"
    ),
    "two paths of Click": lambda: include(
        [path("a", ShopClick.as_view(action=0)), path("b", ShopClick.as_view(action=1))]
    ),
}


@pytest.mark.parametrize("right", GUARDED)
@pytest.mark.parametrize("handlers", [False, True])
def test_a_right_project_has_no_problem(right: str, handlers: bool) -> None:  # noqa: FBT001 - a parameter
    named = {name: {**given, "HANDLER": f"{__name__}:Shop{name.title()}"} for name, given in RIGHT.items()}
    route = GUARDED[right]()
    patterns = route if hasattr(route, "pattern") else path("all/", route)
    assert problems(patterns, PAYTECHUZ=named if handlers else RIGHT) == []


def test_without_a_route_and_without_settings_there_is_nothing_to_say() -> None:
    assert problems(PAYTECHUZ={}) == []
    with override_settings(ROOT_URLCONF="tests.django.urls"):
        assert run_checks(tags=["paytechuz"]) == []


# Each problem, by its number


def model(**fields: Any) -> type[models.Model]:
    """A model of the shop's with other fields."""
    with isolate_apps("tests.django.shop"):
        members = {"__module__": "tests.django.shop.models", "Meta": type("Meta", (), {"app_label": "shop"}), **fields}
        return type("Bill", (models.Model,), members)


def csrf_open(view: Any, *, atomic: bool) -> Any:
    """Give a wrapper what another decorator of the shop's might have given it."""
    if atomic:
        view._non_atomic_requests = set(connections)  # noqa: SLF001 - as Django's own decorator does
    else:
        view.csrf_exempt = True
    return view


def elsewhere() -> CheckMessage:
    """Write payments to another database than orders."""

    class Split:
        def db_for_write(self, model: Any, **hints: Any) -> str:
            del hints
            return "payments" if model.__name__ == "PaymentTransaction" else "orders"

    with override_settings(DATABASE_ROUTERS=[Split()]):
        return only(routed())


def with_database(name: str, **settings: Any) -> CheckMessage:
    """Work with a database of these settings, which is never connected to."""
    add_database(name, sqlite(Path()), **settings)
    with on(name):
        return only(routed())


@contextmanager
def older_django_on_mysql(**options: str) -> Iterator[None]:
    """Be a release of Django that speaks another character set by itself."""
    add_database("older", sqlite(Path()), ENGINE="django.db.backends.mysql", OPTIONS=options)
    with on("older"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(django, "VERSION", (5, 1, 0, "final", 0))
        yield


def without_emoji() -> CheckMessage:
    """Speak it."""
    with older_django_on_mysql():
        return only(routed())


def inside_atomic_requests() -> CheckMessage:
    """Lose the exemption from ATOMIC_REQUESTS."""
    add_database("atomic", sqlite(Path()))
    with on("atomic"):
        return only(path("", csrf_open(bare(ShopPayme.as_view()), atomic=False)))


def without_transactions() -> CheckMessage:
    """Work with a database that has none."""
    add_database("myisam", sqlite(Path()))
    with on("myisam"):
        connections["myisam"].features.supports_transactions = False
        assert problems(routed()) == [], "only asked for by `check --database`"
        assert problems(routed(), databases=["default"]) == [], "that one was not asked for"
        return only(routed(), databases=["myisam"])


MISTAKES: Final[dict[str, list[tuple[Callable[[], CheckMessage], str, str]]]] = {
    "E001": [
        (lambda: only(PAYTECHUZ={"PAYMEE": PAYME}), "['PAYMEE']", "CLICK"),
        (lambda: only(PAYTECHUZ=payme(PAYME_KYE=KEY)), "['PAYME_KYE']", "PAYME_KEY"),
        (lambda: only(PAYTECHUZ=["PAYME"]), '{"PAYME": {…}', "list"),
        (lambda: only(routed(), PAYTECHUZ={**RIGHT, "CLICK": {"PAYME_KEY": KEY}}), "['PAYME_KEY']", "SECRET_KEY"),
    ],
    "E002": [
        (lambda: only(PAYTECHUZ=payme(HANDLER="shop.nowhere.ShopPayme")), "HANDLER", "shop.nowhere.ShopPayme"),
        (lambda: only(PAYTECHUZ=payme(HANDLER=f"{__name__}:ShopClick")), "PaymeWebhookView", "HANDLER"),
        (lambda: only(PAYTECHUZ=payme(HANDLER=f"{__name__}:RIGHT")), "PaymeWebhookView", "HANDLER"),
        (lambda: only(PAYTECHUZ=payme(HANDLER="tests.django.broken.Shop")), "ZeroDivisionError", "broken.py:3"),
    ],
    "E003": [
        (
            lambda: only(routed(), PAYTECHUZ=payme(PAYME_KEY=None)),
            "payme_key is empty",
            "environment variable PAYME_KEY",
        ),
        (
            lambda: only(routed(), PAYTECHUZ=payme(PAYME_KEY=" ")),
            "payme_key is empty",
            'PAYTECHUZ["PAYME"]["PAYME_KEY"]',
        ),
        (lambda: only(routed(payme_key="")), "payme_key is empty", "as_view(payme_key=…)"),
        (lambda: only(routed(), PAYTECHUZ=payme(PAYME_ID="")), "payme_id is empty", 'PAYTECHUZ["PAYME"]["PAYME_ID"]'),
        (
            lambda: only(path("", ShopClick.as_view()), PAYTECHUZ={"CLICK": {**CLICK, "SERVICE_ID": SECRET}}),
            "service_id must be",
            'PAYTECHUZ["CLICK"]["SERVICE_ID"]',
        ),
        (
            lambda: only(path("", ShopClick.as_view()), PAYTECHUZ={"CLICK": {**CLICK, "SECRET_KEY": ()}}),
            "secret_key is empty",
            'PAYTECHUZ["CLICK"]["SECRET_KEY"]',
        ),
        (
            lambda: only(PAYTECHUZ=payme(PAYME_KEY=None, HANDLER=f"{__name__}:ShopPayme")),
            "payme_key is empty",
            "environment variable PAYME_KEY",
        ),
    ],
    "E004": [
        (
            lambda: only(routed(), PAYTECHUZ=payme(ACCOUNT_MODEL=None)),
            "account_model",
            'PAYTECHUZ["PAYME"]["ACCOUNT_MODEL"]',
        ),
        (lambda: only(routed(), PAYTECHUZ=payme(ACCOUNT_MODEL="shop.Oder")), "'shop.Oder'", "ACCOUNT_MODEL"),
        (lambda: only(routed(account_model=Decimal)), "account_model", "as_view(account_model=…)"),
    ],
    "E005": [
        (
            lambda: only(routed(), PAYTECHUZ=payme(ACCOUNT_FIELD="number")),
            "no column 'number'",
            'PAYTECHUZ["PAYME"]["ACCOUNT_COLUMN"]',
        ),
        (
            lambda: only(routed(type("Own", (ShopPayme,), {"account_column": "amount"}))),
            "found by integers",
            "attribute account_column of Own",
        ),
        (lambda: only(routed(), PAYTECHUZ=payme(ACCOUNT_FIELD=("a", "b"), ACCOUNT_COLUMN="id")), "each", "COLUMN"),
    ],
    "E006": [
        (
            lambda: only(routed(), PAYTECHUZ=payme(AMOUNT_FIELD="price")),
            "'price'",
            'PAYTECHUZ["PAYME"]["AMOUNT_FIELD"]',
        ),
        (
            lambda: only(routed(account_model=model(amount=models.FloatField()))),
            "FloatField, which cannot hold money exactly",
            "AMOUNT_FIELD",
        ),
        (lambda: only(routed(account_model=model(amount=models.TextField()))), "TextField", "DecimalField"),
    ],
    "E007": [(elsewhere, "payments are written to the database", "DATABASE_ROUTERS")],
    "E008": [
        (lambda: only(routed(), PAYTECHUZ=payme(MINIMUM="a lot")), "minimum", 'PAYTECHUZ["PAYME"]["MINIMUM"]'),
        (lambda: only(routed(held_code=5)), "held_code", "as_view(held_code=…)"),
        (lambda: only(routed(), PAYTECHUZ=payme(MESSAGES={1: {"en": "no"}})), "messages", "MESSAGES"),
        (lambda: only(routed(), PAYTECHUZ=payme(TEST_KEY=5)), "test_key is empty or no text", "TEST_KEY"),
        (lambda: only(path("", ShopClick.as_view(action=2))), "action", "as_view(action=…)"),
        (
            lambda: only(path("", ShopClick.as_view(commission_percent=0.5))),
            "commission_percent",
            "as_view(commission_percent=…)",
        ),
    ],
    "E009": [
        (lambda: only(routed(AsyncHooks)), "AsyncHooks.successfully_payment is async", "plain def"),
        (lambda: only(routed(Raising)), "LookupError", "test_checks.py:"),
    ],
    "E010": [
        (lambda: only(path("", csrf_open(bare(ShopPayme.as_view()), atomic=True))), "CSRF", "functools.wraps"),
        (lambda: only(routed(Protected)), "CSRF", "nor its dispatch"),
        (lambda: only(routed(ProtectedToo)), "CSRF", "nor its dispatch"),
        (lambda: only(path("", never_cache(ProtectedToo.as_view()))), "CSRF", "nor its dispatch"),
        (
            lambda: only(
                path("", csrf_open(bare(ShopPayme.as_view()), atomic=True)), MIDDLEWARE=[f"{__name__}.StrictCsrf"]
            ),
            "CSRF",
            "functools.wraps",
        ),
    ],
    "E011": [(inside_atomic_requests, "ATOMIC_REQUESTS", "functools.wraps")],
    "E012": [(lambda: with_database("manual", AUTOCOMMIT=False), "AUTOCOMMIT", "remove it")],
    "E013": [(without_transactions, "no database transactions", "InnoDB")],
    "W001": [
        (
            lambda: only(routed(), PAYTECHUZ=payme(TEST_KEY="Qk3#sandbox:9"), DEBUG=False),
            "test_key",
            'PAYTECHUZ["PAYME"]["TEST_KEY"]',
        ),
        (lambda: only(routed(test_key="Qk3#sandbox:9"), DEBUG=False), "test_key", "as_view(test_key=…)"),
    ],
    "W002": [
        (
            lambda: only(routed(), PAYTECHUZ=payme(PAYME_KEY="your_payme_key")),
            "payme_key looks",
            'PAYTECHUZ["PAYME"]["PAYME_KEY"]',
        ),
        (lambda: only(routed(payme_key=[KEY, "changeme"])), "payme_key looks", "as_view(payme_key=…)"),
        (lambda: only(routed(), PAYTECHUZ=payme(TEST_KEY="test_key")), "test_key looks", "TEST_KEY"),
        (lambda: only(path("", ShopClick.as_view(secret_key="secret"))), "secret_key looks", "as_view(secret_key=…)"),
    ],
    "W003": [(without_emoji, "emoji", "utf8mb4")],
}


CASES: Final = [(number, *case) for number, cases in MISTAKES.items() for case in cases]


@pytest.mark.parametrize(("number", "mistake", "said", "fix"), CASES, ids=[f"{each[0]}-{each[2]}" for each in CASES])
def test_a_mistake_is_told_by_its_number_with_the_setting_and_its_fix(
    number: str, mistake: Callable[[], CheckMessage], said: str, fix: str
) -> None:
    message = mistake()
    assert message.id == f"paytechuz.{number}"
    assert said in message.msg
    assert fix in f"{message.msg} {message.hint}"
    assert message.is_serious() is number.startswith("E")
    assert str(message.obj) not in ("None", "")


def test_every_problem_that_is_documented_is_provoked_here() -> None:
    assert list(MISTAKES) == list(PROBLEMS)


# What is not wrong, and must not be said to be


def test_without_csrf_protection_nothing_is_behind_it() -> None:
    unprotected = path("", csrf_open(bare(ShopPayme.as_view()), atomic=True))
    assert problems(unprotected, MIDDLEWARE=[]) == []
    assert problems(unprotected, MIDDLEWARE=["shop.no.such.Middleware"]) == []


def test_a_bare_wrapper_may_be_exempted_by_hand() -> None:
    wrapper = csrf_exempt(bare(ShopPayme.as_view()))
    assert problems(path("", csrf_open(wrapper, atomic=True))) == []


def test_a_test_key_is_no_problem_while_the_shop_is_made() -> None:
    assert problems(routed(), PAYTECHUZ=payme(TEST_KEY="Qk3#sandbox:9"), DEBUG=True) == []


def test_keys_that_are_asked_for_are_not_asked_by_a_check() -> None:
    def keys() -> str:
        pytest.fail("a database may not be there yet")

    assert problems(routed(payme_key=keys), DEBUG=False) == []


def test_keys_from_the_environment_are_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYME_KEY", KEY)
    assert problems(routed(), PAYTECHUZ=payme(PAYME_KEY=None)) == []
    monkeypatch.setenv("PAYME_KEY", "secret")
    message = only(routed(), PAYTECHUZ=payme(PAYME_KEY=None))
    assert (message.id, message.hint) == ("paytechuz.W002", "It is set by the environment variable PAYME_KEY.")


def test_a_handler_that_is_routed_is_told_of_once_and_one_that_is_set_up_otherwise_by_itself() -> None:
    empty = payme(PAYME_KEY=None, HANDLER=f"{__name__}:ShopPayme")
    assert only(routed(), PAYTECHUZ=empty).id == "paytechuz.E003"
    message = only(routed(payme_key=KEY), PAYTECHUZ=empty)
    assert (message.id, "HANDLER" in str(message.obj)) == ("paytechuz.E003", True)


def test_a_database_that_is_spoken_to_in_utf8mb4_is_fine_with_an_older_django() -> None:
    with older_django_on_mysql(charset="utf8mb4"):
        assert problems(routed()) == []


# Where views are found


def found(*patterns: Any) -> list[tuple[str, str | None]]:
    """Name the views that are found."""
    with override_settings(ROOT_URLCONF=patterns):
        return [(each.view_class.__name__, each.path) for each in webhooks()]


def test_views_are_found_in_includes_under_decorators_and_at_their_paths() -> None:
    decorated = [
        path("a", wrapping(ShopPayme.as_view())),
        path("b", bare(bare(ShopPayme.as_view()))),
        path("c", partial(ShopPayme.as_view(), extra=1)),
        path("d", Guard(ShopPayme.as_view())),
    ]
    nested = include([path("pay/", include([*decorated, re_path(r"^e/$", ShopClick.as_view())]))])
    assert found(path("shop/", nested), path("<int:shop>/", include([path("f", ShopPayme.as_view())]))) == [
        ("ShopPayme", "/shop/pay/a"),
        ("ShopPayme", "/shop/pay/b"),
        ("ShopPayme", "/shop/pay/c"),
        ("ShopPayme", "/shop/pay/d"),
        ("ShopClick", "/shop/pay/e/"),
        ("ShopPayme", None),
    ]


class Guard:
    """A decorator that is a class."""

    def __init__(self, view: Callable[..., Any]) -> None:
        self.view = view
        self.itself = self

    def __call__(self, request: HttpRequest) -> Any:
        return self.view(request)


def test_a_urlconf_that_cannot_be_imported_is_left_to_django() -> None:
    with override_settings(ROOT_URLCONF="tests.django.broken", PAYTECHUZ=RIGHT, DEBUG=True):
        assert run_checks(tags=["paytechuz"]) == []
        with pytest.raises(ZeroDivisionError):
            run_checks(tags=["urls"])


def test_an_include_that_cannot_be_imported_hides_no_other_route() -> None:
    broken: Any = path("broken/", include("tests.django.urls"))
    broken.urlconf_name = "tests.django.broken"
    assert found(broken, routed()) == [("ShopPayme", "/payme")]


def test_the_command_fails_and_shows_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        override_settings(ROOT_URLCONF=(routed(payme_key=KEY, minimum="x"),), PAYTECHUZ=RIGHT, DEBUG=True),
        pytest.raises(SystemCheckError) as failed,
    ):
        call_command("check", tags=["paytechuz"])
    shown = f"{failed.value}{capsys.readouterr()}"
    assert "paytechuz.E008" in shown
    assert f"{__name__}.ShopPayme at /payme" in shown
    assert KEY not in shown


# What a check says is what a call meets


@pytest.mark.parametrize("view", [Protected, ProtectedToo])
def test_a_view_that_is_said_to_be_behind_csrf_protection_is(view: Any, alias: str) -> None:
    del alias
    with override_settings(ROOT_URLCONF=(routed(view),), PAYTECHUZ=RIGHT):
        assert "HTTP 403" in look_at_endpoint("payme", "/payme", in_process("/payme")).seen


def test_a_bare_wrapper_is_answered_with_403_by_the_middleware(alias: str) -> None:
    del alias
    with override_settings(ROOT_URLCONF=(path("payme", bare(ShopPayme.as_view())),), PAYTECHUZ=RIGHT):
        assert "HTTP 403" in look_at_endpoint("payme", "/payme", in_process("/payme")).seen
    assert {message.id for message in problems(path("payme", bare(ShopPayme.as_view())))} >= {"paytechuz.E010"}


# The documentation


def test_the_table_of_checks_is_what_the_code_says() -> None:
    rows = re.findall(r"^\| `paytechuz\.(\w+)` \| (.+?) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
    assert {number: what for number, what, _ in rows} == PROBLEMS
    assert len(rows) == len(PROBLEMS)
    assert all(fix.strip() for *_, fix in rows)


def test_no_page_names_a_check_that_there_is_not() -> None:
    named = {number for page in pages() for number in re.findall(r"paytechuz\.([EW]\d+)", page.read_text())}
    assert named == set(PROBLEMS)
