"""Which webhooks a project has: those that its URLconf routes, and those that `PAYTECHUZ[...]["HANDLER"]` names.

The URLconf is walked as Django itself resolves it, includes and decorators too; what of it cannot be imported is left
to Django's own check.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.regex_helper import normalize

from paytechuz_core.repository import ConfigurationError
from paytechuz_core.settings import named
from paytechuz_django.settings import ENVIRONMENT, section, told
from paytechuz_django.views import ClickWebhookView, PaymeWebhookView, WebhookView

BASES: Final[Mapping[str, type[WebhookView]]] = {"PAYME": PaymeWebhookView, "CLICK": ClickWebhookView}
"""What a handler must be a subclass of, by its provider."""


@dataclass(frozen=True)
class Webhook:
    """One webhook: its view class, and what `as_view` was given.

    `callback` is what the URLconf routes, None for a HANDLER; `path` where it is routed, None where that depends on a
    parameter.
    """

    view_class: type[WebhookView]
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    callback: Callable[..., Any] | None = None
    path: str | None = None

    def __str__(self) -> str:
        """Say which it is."""
        name = f"{self.view_class.__module__}.{self.view_class.__qualname__}"
        if self.callback is None:
            return f"{name}, the HANDLER of PAYTECHUZ[{self.view_class.provider!r}]"
        return name if self.path is None else f"{name} at {self.path}"

    def view(self) -> Any:
        """Make the view, as for a request; `ConfigurationError` names a setting that cannot work, and its fix."""
        return self.view_class(**self.settings)

    def given(self, view: Any, name: str) -> Any:
        """Give a setting of a view that was made, which keeps no key that `as_view` was given."""
        own = self.settings.get(name)
        return view.setting(name) if own is None else own

    def source(self, name: str) -> str:
        """Say where a setting is made, or where it can be."""
        provider, view = self.view_class.provider, self.view_class.__qualname__
        in_settings, attribute = f'PAYTECHUZ["{provider}"]["{name.upper()}"]', f"the attribute {name} of {view}"
        if name in self.settings:
            return f"It is set by as_view({name}=…)."
        if getattr(self.view_class, name, None) is not None:
            return f"It is set by {attribute}."
        if name.upper() in section(provider):
            return f"It is set by {in_settings}."
        variable = ENVIRONMENT.get(name)
        if variable is None:
            return f"Set it by {in_settings} or {attribute}."
        if variable in os.environ:
            return f"It is set by the environment variable {variable}."
        return f"Set it by {in_settings}, the environment variable {variable} or {attribute}."


def webhooks() -> Iterator[Webhook]:
    """Give every webhook that the URLconf routes."""
    if getattr(settings, "ROOT_URLCONF", None):
        yield from webhooks_of(get_resolver(), ("/",))


def webhooks_of(resolver: URLResolver, prefix: tuple[str | None, ...]) -> Iterator[Webhook]:
    """Give every webhook below a resolver, whose own path is `prefix`."""
    try:
        patterns = list(resolver.url_patterns)
    except Exception:  # noqa: BLE001 - whatever a module raises when it is imported; Django's own check tells it
        return
    for pattern in patterns:
        here = (*prefix, path_of(pattern))
        if isinstance(pattern, URLResolver):
            yield from webhooks_of(pattern, here)
        elif isinstance(pattern, URLPattern) and (view := view_in(pattern.callback)) is not None:
            path = None if None in here else "".join(part or "" for part in here)
            yield Webhook(view.view_class, view.view_initkwargs, pattern.callback, path)


def path_of(pattern: URLPattern | URLResolver) -> str | None:
    """Give a pattern's part of the path, or None where it has a parameter."""
    plain = (path for path, parameters in normalize(pattern.pattern.regex.pattern) if not parameters)
    return next(plain, None)


def view_in(callback: Any) -> Any:
    """Find our view in what is routed, under whatever decorates it, or give None."""
    return next((each for each in unwrapped(callback) if is_ours(each)), None)


def is_ours(callback: Any) -> bool:
    """Tell whether `as_view` of ours made this, or something that passes for it."""
    view_class = getattr(callback, "view_class", None)
    return isinstance(view_class, type) and issubclass(view_class, WebhookView) and hasattr(callback, "view_initkwargs")


def unwrapped(wrapper: Any) -> Iterator[Any]:
    """Give a callable and what it wraps: by `functools.wraps`, by `partial`, or only by holding it."""
    found = [wrapper]
    for each in islice(found, 100):  # which grows meanwhile
        yield each
        found += [held for held in held_by(each) if all(held is not known for known in found)]


def held_by(wrapper: Any) -> Iterator[Any]:
    """Give the callables that another one holds."""
    held = [*getattr(wrapper, "__dict__", {}).values(), getattr(wrapper, "func", None)]
    for cell in getattr(wrapper, "__closure__", None) or ():
        with suppress(ValueError):  # of an empty cell
            held.append(cell.cell_contents)
    for each in held:
        several = each if isinstance(each, (list, tuple)) else (each,)
        yield from (one for one in several if callable(one) and not isinstance(one, type))


def handler_of(provider: str) -> type[WebhookView] | None:
    """Give the view class that `PAYTECHUZ[provider]["HANDLER"]` names, or None where it names none."""
    if (given := told(provider, "handler")) is None:
        return None
    where, base = f'PAYTECHUZ["{provider}"]["HANDLER"]', BASES[provider]
    found = named(where, given)
    if not (isinstance(found, type) and issubclass(found, base)):
        message = f"{where} must be your subclass of {base.__name__}, or its path such as 'shop.views.ShopPayme'"
        raise ConfigurationError(message, "handler")
    return found
