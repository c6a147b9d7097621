"""What merchants do in hooks of Django's: habits as in `tests.http.habits`, of an ORM without a session."""

from contextlib import suppress
from typing import Any

from django.db import DatabaseError, IntegrityError, connections, transaction
from django.db.models import F

from tests.django.shop.models import Order
from tests.http.habits import Broken

# Good habits


def mark(transaction_: Any) -> None:
    """Leave a mark on the order, so that all that a hook did can be seen."""
    Order.objects.filter(pk=transaction_.account_id).update(status="touched", paid=F("paid") + 1)


def updates(self: Any, transaction_: Any) -> None:
    del self
    mark(transaction_)


def saves_an_object(self: Any, transaction_: Any) -> None:
    order = Order.objects.using(self.using).get(pk=transaction_.account_id)
    order.status, order.paid = "touched", order.paid + 1
    order.save()


def locks_its_order(self: Any, transaction_: Any) -> None:
    del self
    order = Order.objects.select_for_update().get(pk=transaction_.account_id)
    order.status, order.paid = "touched", order.paid + 1
    order.save()


def works_in_an_atomic_of_its_own(self: Any, transaction_: Any) -> None:
    with transaction.atomic(using=self.using):
        mark(transaction_)


def takes_back_a_part(self: Any, transaction_: Any) -> None:
    with suppress(Broken), transaction.atomic(using=self.using):
        mark(transaction_)
        raise Broken
    mark(transaction_)


def handles_a_failed_statement_in_an_atomic_of_its_own(self: Any, transaction_: Any) -> None:
    Order.objects.create(amount=1, voucher="its own")
    with suppress(IntegrityError), transaction.atomic(using=self.using):
        Order.objects.create(amount=1, voucher="its own")
    mark(transaction_)


GOOD = (
    updates,
    saves_an_object,
    locks_its_order,
    works_in_an_atomic_of_its_own,
    takes_back_a_part,
    handles_a_failed_statement_in_an_atomic_of_its_own,
)


# Habits whose work is lost


def raises(self: Any, transaction_: Any) -> None:
    del self
    mark(transaction_)
    raise Broken


def commits(self: Any, transaction_: Any) -> None:
    mark(transaction_)
    transaction.commit(using=self.using)  # Django forbids it here


def sets_rollback(self: Any, transaction_: Any) -> None:
    mark(transaction_)
    transaction.set_rollback(True, using=self.using)


def swallows_the_refusal_of_a_commit_and_rolls_back(self: Any, transaction_: Any) -> None:
    mark(transaction_)
    with suppress(transaction.TransactionManagementError):
        transaction.commit(using=self.using)
    transaction.set_rollback(True, using=self.using)


def closes_the_connection(self: Any, transaction_: Any) -> None:
    mark(transaction_)
    connections[self.using].close()


def closes_the_connection_and_swallows_what_follows(self: Any, transaction_: Any) -> None:
    connections[self.using].close()
    with suppress(Exception):
        mark(transaction_)


def violates_a_unique_key(self: Any, transaction_: Any) -> None:
    del self
    mark(transaction_)
    Order.objects.create(amount=1, voucher="taken")


def swallows_a_failed_save(self: Any, transaction_: Any) -> None:
    del self
    mark(transaction_)
    with suppress(IntegrityError):
        Order(amount=1, voucher="taken").save()


def asks_for_a_durable_atomic(self: Any, transaction_: Any) -> None:
    with transaction.atomic(using=self.using, durable=True):
        mark(transaction_)


BAD = (
    raises,
    commits,
    sets_rollback,
    swallows_the_refusal_of_a_commit_and_rolls_back,
    closes_the_connection,
    closes_the_connection_and_swallows_what_follows,
    violates_a_unique_key,
    swallows_a_failed_save,
    asks_for_a_durable_atomic,
)


# Habits that databases see differently, and whose outcome must only be whole


def swallows_a_failed_statement(self: Any, transaction_: Any) -> None:
    mark(transaction_)
    with suppress(DatabaseError), connections[self.using].cursor() as cursor:
        cursor.execute("SELECT no_such_column FROM shop_orders")


def rolls_back_behind_djangos_back(self: Any, transaction_: Any) -> None:
    mark(transaction_)
    with suppress(DatabaseError), connections[self.using].cursor() as cursor:
        cursor.execute("ROLLBACK")


DISPUTED = (swallows_a_failed_statement, rolls_back_behind_djangos_back)
