"""Keys that Django's own page of an error shows to nobody: with DEBUG it shows the variables of every frame.

What is set where the view is made stands in a frame of Django's, so its keys are `hidden` there; a wrong setting is
told without the frames that it came through, in which the right ones stand.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from paytechuz_core.repository import ConfigurationError

KEYS: Final = {"payme_key", "test_key", "secret_key"}


class Hidden(str):
    """A key that shows itself to nobody who only looks."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Show that it is one."""
        return "'...'"


def hidden(keys: Any) -> Any:
    """Hide one key or several; a callable has nothing to hide, and what is no text will be refused."""
    if isinstance(keys, str):
        return Hidden(keys)
    return [hidden(key) for key in keys] if isinstance(keys, (list, tuple)) else keys


@contextmanager
def told_without_its_frames() -> Iterator[None]:
    """Let a wrong setting be told in words alone: in the frames it came through the right settings stand, keys too."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(str(error), error.setting) from None
