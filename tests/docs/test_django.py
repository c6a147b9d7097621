"""Django's pages, read by a very literal reader: a project made as the tutorial says, and what the others add to it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.docs.pages import DJANGO_TUTORIAL, DOCS, README, blocks, write_files
from tests.docs.test_tutorial import PATIENCE, converse, serving

HOW_TO: Final = DOCS / "how-to/django.md"
MANAGE: Final = [sys.executable, "manage.py"]
SERVER: Final = [*MANAGE, "runserver", "--noreload", "127.0.0.1:{port}"]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tutorial's project: its files saved and its commands run, in the order of the page."""
    folder = tmp_path_factory.mktemp("first-payment")
    for block in blocks(DJANGO_TUTORIAL):
        if block.language == "python":
            block.save(folder)
        for words in map(str.split, block.text.splitlines() if block.language == "sh" else ()):
            match words:
                case ["django-admin", *rest]:
                    execute([sys.executable, "-m", "django", *rest], folder)
                case ["python", "manage.py", name, *rest] if name not in {"createsuperuser", "runserver"}:
                    execute([*MANAGE, name, *rest], folder)
                case _:
                    pass  # the reader's own: a folder, a virtual environment, curl
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    return shutil.copytree(made, tmp_path / "project")


def execute(command: list[str], folder: Path, **environment: str) -> str:
    """Run a command in a folder, and give what it said."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=PATIENCE,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_calls_of_the_tutorial_are_answered_as_it_shows(project: Path) -> None:
    with serving(SERVER, project) as port:
        converse(DJANGO_TUTORIAL, port)


def test_the_payment_of_the_tutorial_stands_in_the_admin(project: Path) -> None:
    execute(
        [*MANAGE, "createsuperuser", "--noinput", "--username=admin", "--email=admin@shop.example"], project,
        DJANGO_SUPERUSER_PASSWORD="a password",
    )  # fmt: skip
    with serving(SERVER, project) as port, browser(port) as client:
        converse(DJANGO_TUTORIAL, port)
        assert "5,000.00" in client.get("/admin/paytechuz_django/paymenttransaction/").text
        payment = client.get("/admin/paytechuz_django/paymenttransaction/1/change/").text
        assert "Refunded" in payment
        assert '<a href="/admin/orders/order/1/change/">1</a>' in payment


@contextmanager
def browser(port: int) -> Iterator[httpx.Client]:
    """Log in as a browser does."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True, trust_env=False) as client:
        (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/admin/login/").text)
        form = {"username": "admin", "password": "a password", "csrfmiddlewaretoken": token, "next": "/admin/"}
        client.post("/admin/login/", data=form).raise_for_status()
        yield client


def test_django_has_nothing_to_say_but_that_the_key_is_an_example(project: Path) -> None:
    said = execute([*MANAGE, "check"], project)
    assert re.findall(r"paytechuz\.\w+", said) == ["paytechuz.W002"]
    execute([*MANAGE, "makemigrations", "--check"], project)


# The page with everything else


@pytest.fixture
def grown(project: Path) -> Path:
    """The tutorial's project with all that the how-to page adds to it."""
    write_files(HOW_TO, project)
    return project


def test_what_the_how_to_page_adds_is_a_project_that_django_checks(grown: Path) -> None:
    said = execute([*MANAGE, "check"], grown)
    assert set(re.findall(r"paytechuz\.\w+", said)) == {"paytechuz.W002"}
    execute([*MANAGE, "makemigrations", "--check"], grown)


def test_the_test_of_the_page_passes_and_so_do_ours(grown: Path) -> None:
    (grown / "orders/test_more.py").write_text(MORE)
    said = execute([*MANAGE, "test"], grown)
    assert "Ran 6 tests" in said
    assert said.rstrip().endswith("OK") or "OK\n" in said


MORE: Final = """
from django.contrib.auth.models import User
from django.core import mail
from django.test import override_settings

from orders.models import Order
from orders.tests import PaymentTest
from paytechuz.integrations.django import PaymentTransaction
from shop.routers import ShopRouter


@override_settings(MANAGERS=[("Manager", "manager@shop.example")])
class MoreTest(PaymentTest):
    def test_the_managers_are_told_once(self):
        self.test_an_order_is_paid_and_refunded()
        assert [each.subject.partition("] ")[2] for each in mail.outbox] == [f"Order {Order.objects.get().pk} is paid"]
        assert mail.outbox[0].body == "5000.00 som through payme"

    def test_click_has_its_own_endpoint(self):
        assert self.client.post("/payments/click/webhook").json()["error"] == -8

    def test_the_admin_shows_paid_ones_only(self):
        self.test_an_order_is_paid_and_refunded()
        self.client.force_login(User.objects.create_superuser("admin"))
        page = "/admin/paytechuz_django/paymenttransaction/"
        assert "0 payments" in self.client.get(page).content.decode()
        PaymentTransaction.objects.update(state=2)
        assert "1 payment" in self.client.get(page).content.decode()

    def test_orders_and_payments_are_written_to_one_database(self):
        router = ShopRouter()
        assert {router.db_for_write(model) for model in (Order, PaymentTransaction)} == {"default"}
        assert {router.db_for_read(model) for model in (Order, PaymentTransaction)} == {"replica"}
        assert router.db_for_read(User) is None
"""


def test_the_commands_of_the_page_are_there(grown: Path) -> None:
    (commands,) = blocks(HOW_TO, "sh")
    for words in map(str.split, commands.text.splitlines()):
        assert words[:2] == ["python", "manage.py"]
        execute([*MANAGE, *words[2:]], grown)


# The README


def test_the_readmes_view_takes_a_payment(project: Path) -> None:
    for name, payments in {
        "shop/settings.py": 'INSTALLED_APPS += ["paytechuz',
        "shop/urls.py": "from orders.pay",
    }.items():
        before, found, _ = (project / name).read_text().partition(payments)
        assert found
        (project / name).write_text(before)  # the tutorial's shop before it takes payments
    write_files(README, project)
    (project / "orders/tests.py").write_text(TAKES_A_PAYMENT)
    said = execute([*MANAGE, "test"], project)
    assert "Ran 1 test" in said


TAKES_A_PAYMENT: Final = """
from time import time

from django.test import TestCase

from orders.models import Order
from paytechuz_core.testing import Till


class PaymentTest(TestCase):
    def send(self, body, headers, /):
        kind = headers["Content-Type"]
        answer = self.client.post("/payments/payme/webhook", body, content_type=kind, headers=dict(headers))
        return answer.status_code, answer.content

    def test_an_order_is_paid(self):
        order, till = Order.objects.create(amount=5000), Till(self.send, "your_payme_key")
        params = {"id": "A", "time": int(time() * 1000), "amount": 500_000, "account": {"id": str(order.pk)}}
        assert till.call("CreateTransaction", params).result["state"] == 1
        assert till.perform("A").result["state"] == 2
        order.refresh_from_db()
        assert order.status == "paid"
"""
