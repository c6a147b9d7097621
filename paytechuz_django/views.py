"""The webhooks as Django views: subclass one, override the hooks, route it.

    class ShopPayme(PaymeWebhookView):
        def successfully_payment(self, params, transaction):
            Order.objects.filter(pk=transaction.account_id).update(status="paid")

    urlpatterns = [path("payments/payme/webhook", ShopPayme.as_view())]

A view runs in the request's own thread, under WSGI and ASGI alike; a hook runs inside the call's database transaction,
and its `transaction.on_commit` fires once, after it. The view is exempt from CSRF protection (providers have no cookie;
they sign), from LoginRequiredMiddleware and from ATOMIC_REQUESTS (it commits before it answers). The database is the
writer that the project's routers name for `PaymentTransaction`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connections, router, transaction
from django.http import HttpRequest, HttpResponse
from django.views import View

from paytechuz_core.addresses import Callers
from paytechuz_core.decision import Event
from paytechuz_core.engine import Clock
from paytechuz_core.handler import CONSUMED, JSON, SyncHandler
from paytechuz_core.hooks import Drafts, Hooks
from paytechuz_core.inbound import BODY_LIMIT, Inbound
from paytechuz_core.observe import log
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.settings import (
    Addresses,
    Keys,
    Som,
    callers,
    check_hooks,
    check_kinds,
    click_of,
    frozen,
    keys_of,
    payme_of,
    several,
    several_or_callable,
)
from paytechuz_core.transaction import Fields
from paytechuz_django.accounts import DjangoAccounts, accounts_of, model_named
from paytechuz_django.hidden import KEYS, hidden, told_without_its_frames
from paytechuz_django.models import PaymentTransaction
from paytechuz_django.settings import told
from paytechuz_django.signals import BY_MOVE
from paytechuz_django.store import DjangoRepository, unit_of_work


class WebhookView(SyncHandler, View):
    """What both providers' views share. None means that a setting is not made here: see `paytechuz_django.settings`."""

    provider: str

    account_model: Any = None
    account_field: str | Sequence[str] | None = None
    account_column: str | Sequence[str] | None = None
    account_key_type: type | None = None
    amount_field: str | None = None
    one_time_payment: bool | None = None
    minimum: Som | None = None
    maximum: Som | None = None
    allowed_addresses: Addresses | None = None
    trusted_proxies: Addresses | None = None
    clock: Clock

    accounts: DjangoAccounts
    using: str

    def __init__(self, **settings: Any) -> None:
        """Set the view up; `ConfigurationError` names a setting that cannot work, and its fix."""
        super().__init__(**settings)
        handler: Any = type(self)
        check_hooks(handler)
        fields, columns = several(self.setting("account_field", "id")), several(self.setting("account_column")) or None
        one_time = self.setting("one_time_payment", default=True)
        check_kinds(fields, columns, one_time_payment=one_time, clock=self.clock)
        model = model_named("account_model", self.setting("account_model"))
        self.using = database_of(model)
        self.accounts = accounts_of(
            model, fields, columns, self.setting("amount_field", "amount"), one_time,
            self.setting("account_key_type"), self.finds_otherwise(),
        )  # fmt: skip

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponse]:
        """Make the view: without CSRF protection, login and ATOMIC_REQUESTS, for this one alone."""
        # Django's own page of an error shows the variables of every frame, and these stand in one.
        for name in KEYS & initkwargs.keys():
            initkwargs[name] = hidden(initkwargs[name])
        view: Any = super().as_view(**initkwargs)
        view.csrf_exempt = True
        view.login_required = False  # what LoginRequiredMiddleware looks at; it would answer 302
        for alias in connections:
            transaction.non_atomic_requests(using=alias)(view)
        webhook: Callable[..., HttpResponse] = view
        return webhook

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer one request, of whatever HTTP method: always HTTP 200, as the providers want it."""
        del args, kwargs
        return HttpResponse(self.respond(read(request)), content_type=JSON)

    @contextmanager
    def begin(self) -> Iterator[DjangoRepository]:
        """Open one database transaction."""
        try:
            with unit_of_work(self.using) as self._unit:
                yield DjangoRepository(self.using, self._account, self.accounts.restore)
        finally:
            self._forget()

    def fire(self, event: Event, drafts: Drafts) -> Any:
        """Call a hook; after COMMIT, tell the signal's receivers too."""
        if event.after is not None:
            # As it is stored, the hooks' extra_data included; a copy, because a receiver may write into it.
            _, params, moved = deepcopy(drafts.arguments(event))
            BY_MOVE[event.after].send_robust(type(self), transaction=moved, params=params)
        return super().fire(event, drafts)

    def setting(self, name: str, default: Any = None) -> Any:
        """Give a setting: of `as_view(...)`, the class, `settings.PAYTECHUZ`, the environment, or the default."""
        given = getattr(self, name)
        if getattr(given, "__self__", None) is self:
            message = f"{type(self).__name__}.{name} is a method: make it a staticmethod"
            raise ConfigurationError(message, name)
        if given is None:
            given = told(self.provider, name)
        return default if given is None else given

    def _callers(self) -> Callers:
        """Say who may call."""
        return callers(self.setting("allowed_addresses"), self.setting("trusted_proxies"))

    def forget(self, *secrets: str) -> None:
        """Keep no key where a hook that shows its view would show it."""
        for name in secrets:
            vars(self).pop(name, None)

    def _find(self, account: Fields) -> Any | None:
        return self.accounts.find(self.using, account)


class PaymeWebhookView(WebhookView):
    """Payme's calls. The settings are those of `PAYTECHUZ["PAYME"]`.

    `payme_key` is the cash register's key; several, or a callable that gives them, while keys rotate. `test_key` is
    valid besides, for Payme's sandbox: remove it when the cash register is live. `account_field` is the account field
    set up for the cash register (or several), `account_column` the model's where it is called otherwise, `amount_field`
    the price in som. `one_time_payment=False` takes any number of payments from `minimum` to `maximum` som. `messages`
    replaces texts: `{-31050: {"ru": …, "uz": …, "en": …}}`. Of an order that another transaction holds Create says
    `held_code`. Calls from elsewhere than `allowed_addresses` (say, PAYME_ADDRESSES) are refused; your own
    proxies are `trusted_proxies`.
    """

    provider = "PAYME"

    payme_id: str | None = None
    payme_key: Keys | None = None
    test_key: str | None = None
    login: str | None = None
    held_code: int | None = None
    messages: Mapping[int, Mapping[str, str]] | None = None

    def __init__(self, **settings: Any) -> None:
        """Set the view up; `ConfigurationError` names a setting that cannot work, and its fix."""
        with told_without_its_frames():
            super().__init__(**settings)
            self.gateway = payme_of(
                self.accounts, several(self.setting("account_field", "id")), self.setting("payme_id"),
                both(several_or_callable(self.setting("payme_key")), self.setting("test_key")),
                self.setting("login", "Paycom"), self.setting("minimum"), self.setting("maximum"),
                self.setting("held_code", -31051), type(self).change_password is not Hooks.change_password,
                frozen(self.setting("messages", {})), self._callers(),
            )  # fmt: skip
        self.forget("payme_key", "test_key")


class ClickWebhookView(WebhookView):
    """Click's calls: Prepare and Complete at one URL, or at two with `action=0` and `action=1`.

    The settings are those of `PAYTECHUZ["CLICK"]`. `secret_key` is the service's key; several, or a callable that gives
    them, while keys rotate. `account_field` names what `merchant_trans_id` is, `commission_percent` what the customer
    pays on top of the price. For `lifetime` a prepared attempt keeps another provider away.
    """

    provider = "CLICK"

    service_id: int | str | None = None
    secret_key: Keys | None = None
    commission_percent: Decimal | int | str | None = None
    action: int | None = None
    lifetime: timedelta | None = None

    def __init__(self, **settings: Any) -> None:
        """Set the view up; `ConfigurationError` names a setting that cannot work, and its fix."""
        with told_without_its_frames():
            super().__init__(**settings)
            self.gateway = click_of(
                self.accounts, several(self.setting("account_field", "id")), self.setting("service_id", ""),
                several_or_callable(self.setting("secret_key")), self.setting("commission_percent", 0),
                self.setting("minimum"), self.setting("maximum"), self.setting("action"),
                self.setting("lifetime", timedelta(hours=12)), self._callers(),
            )  # fmt: skip
        self.forget("secret_key")


def read(request: HttpRequest) -> Inbound:
    """Read a request, and no more of its body than may be read."""
    method, headers, peer = request.method or "", request.headers, request.META.get("REMOTE_ADDR")
    length = request.META.get("CONTENT_LENGTH") or "0"
    # A chunked body has no length; Django would read none of it, and the server tells where it ends.
    chunked = length == "0" and request.META.get("wsgi.input_terminated")
    try:
        body = (request.META["wsgi.input"] if chunked else request).read(BODY_LIMIT + 1)
    except Exception:  # noqa: BLE001 - each server has its own for a client that goes away, or sends no proper chunks
        return Inbound(method, headers, None, peer)
    if not body and length.isdecimal() and int(length) > 0:
        log.error(CONSUMED)
        return Inbound(method, headers, None, peer)
    return Inbound(method, headers, body if len(body) <= BODY_LIMIT else None, peer)


def database_of(model: Any) -> str:
    """Give the database that payments and orders are written to: one, because they are committed together."""
    using, orders = router.db_for_write(PaymentTransaction), router.db_for_write(model)
    if using != orders:
        message = (
            f"payments are written to the database {using!r}, {model.__name__} to {orders!r}: let DATABASE_ROUTERS "
            "give paytechuz_django the database of the orders, because both are committed together or not at all"
        )
        raise ConfigurationError(message, "DATABASE_ROUTERS")
    return using


@dataclass(frozen=True)
class Both:
    """The cash register's keys, and the sandbox's."""

    keys: Any = field(repr=False)
    test_key: str = field(repr=False)

    def __call__(self) -> tuple[str, ...]:
        """Give those that are valid now."""
        return (*several(self.keys() if callable(self.keys) else self.keys), self.test_key)


def both(keys: Any, test_key: str | None) -> Any:
    """Add the sandbox's key, where there is one, to keys that must be right without it."""
    if not test_key:
        return keys
    keys_of("payme_key", "the cash register's key from Payme's cabinet", keys)
    keys_of("test_key", "the cash register's TEST_KEY from Payme's cabinet", several(test_key))
    return Both(keys, test_key)
