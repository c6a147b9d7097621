"""`paytechuz link`: the link alone in a pipe, its QR code on a terminal and in files."""

import base64
import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import pytest
import segno

from paytechuz_core import checkout_link, payment_link
from tests.cli import ROOT, run

PAYME = ("link", "payme", "--payme-id", "587f72c72cac0d162c722ae2", "--account", "order_id=1", "--amount", "5000.50")
CLICK = ("link", "click", "--service-id", "123", "--merchant-id", "45", "--order", "A 17", "--amount", "5000")


def parameters(link: str) -> list[str]:
    """Read a link of Payme's as Payme does."""
    return base64.b64decode(urlsplit(link).path[1:]).decode().split(";")


def test_a_link_of_paymes_is_the_librarys_own() -> None:
    asked = (*PAYME, "--account", "branch=3=4", "--language", "uz", "--return-url", "https://shop.example/1", "--test")
    account = {"order_id": "1", "branch": "3=4"}
    id, url = "587f72c72cac0d162c722ae2", "https://shop.example/1"
    expected = checkout_link(id, 500_050, account, language="uz", return_url=url, test=True)
    assert run(*asked) == f"{expected}\n"
    assert run(*asked).startswith("https://test.paycom.uz/")
    assert parameters(run(*PAYME)) == [f"m={id}", "ac.order_id=1", "a=500050"]


def test_a_link_of_clicks_is_the_librarys_own() -> None:
    asked = (*CLICK, "--card-type", "humo", "--return-url", "https://shop.example/1?a=b")
    expected = payment_link(123, 45, 500_000, "A 17", card_type="humo", return_url="https://shop.example/1?a=b")
    assert run(*asked) == f"{expected}\n"
    assert parse_qs(urlsplit(run(*CLICK).strip()).query)["amount"] == ["5000.00"]


def test_an_amount_may_say_its_unit() -> None:
    for som in ("5000.50som", "5000.50 som", "5000.5"):
        assert run(*PAYME[:-1], som) == run(*PAYME)


def test_ids_may_come_from_the_environment() -> None:
    assert run("link", "payme", *PAYME[4:], environment={"PAYME_ID": PAYME[3]}) == run(*PAYME)
    ids = {"CLICK_SERVICE_ID": "123", "CLICK_MERCHANT_ID": "45"}
    assert run("link", "click", *CLICK[6:], environment=ids) == run(*CLICK)
    assert "PAYME_ID" in run("link", "payme", *PAYME[4:], code=2)


AMOUNTS = {
    "zero": "0",
    "zero point": "0.00",
    "negative": "-5",
    "comma": "5000,50",
    "space": "5 000",
    "exponent": "5e3",
    "fraction": "1.005",
    "nan": "nan",
    "arabic": "١",
    "point": ".5",
    "empty": "",
    "line": "1\n",
}


@pytest.mark.parametrize("amount", AMOUNTS.values(), ids=AMOUNTS)
def test_an_amount_is_exact_som_or_nothing(amount: str) -> None:
    for command in (PAYME[:-1], CLICK[:-1]):
        assert "no amount in som: write 5000 or 5000.50" in run(*command, amount, code=2)


@pytest.mark.parametrize(
    ("account", "said"),
    [
        ("order_id", "write order_id=1"),
        ("=1", "write order_id=1"),
        ("id=", "write order_id=1"),
        ("order_id=2", "is there twice"),
        ("id=1;a=1", "';' separates"),
    ],
    ids=["bare", "nameless", "empty", "twice", "semicolon"],
)
def test_an_account_that_is_none_is_told(account: str, said: str) -> None:
    assert said in run(*PAYME, "--account", account, code=2)


@pytest.mark.parametrize("wrong", ["0", "-1", "x"])
def test_clicks_ids_are_numbers(wrong: str) -> None:
    run("link", "click", "--service-id", wrong, *CLICK[4:], code=2)


def test_an_order_of_spaces_is_none() -> None:
    assert "needs the order" in run(*CLICK, "--order", " ", code=2)


def modules(link: str) -> list[list[bool]]:
    """Give the QR code of a link, dark modules true, with the quiet zone."""
    return [[bool(module) for module in row] for row in segno.make(link, micro=False).matrix_iter(border=4)]


def test_a_terminal_shows_the_qr_code_light_on_dark() -> None:
    said = in_terminal(columns=80)
    link, *drawn = said.splitlines()
    rows = [line.removeprefix("\x1b[40;97m").removesuffix("\x1b[0m") for line in drawn if line]
    assert f"{link}\n" == run(*PAYME)
    halves = {"█": (False, False), "▀": (False, True), "▄": (True, False), " ": (True, True)}
    seen = [[halves[each][half] for each in row] for row in rows for half in (0, 1)]
    assert seen[: len(modules(link))] == modules(link)
    assert all(line.startswith("\x1b[40;97m") for line in drawn if line)


def test_a_terminal_that_is_too_narrow_is_told() -> None:
    said = in_terminal(columns=30)
    assert "█" not in said
    assert "--qr pay.svg" in said


def in_terminal(columns: int) -> str:
    """Run the command with a terminal to write to."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "paytechuz", *PAYME]
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment, cwd=ROOT) as process:
        os.close(theirs)
        said = bytearray()
        try:
            while read := os.read(ours, 4096):
                said += read
        except OSError:  # how Linux says that nobody writes any more
            pass
    os.close(ours)
    assert process.returncode == 0, said
    return said.decode().replace("\r\n", "\n")


def test_the_qr_code_is_written_as_svg(tmp_path: Path) -> None:
    file = tmp_path / "pay.svg"
    link = run(*PAYME, "--qr", str(file)).strip()
    (path,) = ET.fromstring(file.read_text()).iter("{http://www.w3.org/2000/svg}path")  # noqa: S314 - our own
    wanted = modules(link)
    seen = [[False] * len(wanted) for _ in wanted]
    x = y = 0.0
    for command, text in re.findall(r"([Mmh])([^Mmh]*)", path.attrib["d"]):
        numbers = [float(each) for each in re.findall(r"-?[0-9.]+", text)]
        match command:
            case "M":
                x, y = numbers
            case "m":
                x, y = x + numbers[0], y + numbers[1]
            case _:
                for column in range(int(x), int(x + numbers[0])):
                    seen[int(y)][column] = True
                x += numbers[0]
    assert seen == wanted


def test_the_qr_code_is_written_as_png(tmp_path: Path) -> None:
    file = tmp_path / "pay.PNG"
    link = run(*PAYME, "--qr", str(file)).strip()
    expected = io.BytesIO()
    segno.make(link, micro=False).save(expected, kind="png", scale=8, border=4)
    assert file.read_bytes() == expected.getvalue()


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    assert "neither an .svg nor a .png" in run(*PAYME, "--qr", str(tmp_path / "pay.jpg"), code=2)
    assert "cannot be written" in run(*PAYME, "--qr", str(tmp_path / "nowhere" / "pay.svg"), code=2)


def test_in_a_pipe_there_is_the_link_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "paytechuz", *PAYME, "--qr", str(tmp_path / "pay.svg")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert ended.stdout == run(*PAYME)
    assert "pay.svg" in ended.stderr


@pytest.mark.parametrize("command", [PAYME, CLICK], ids=["payme", "click"])
def test_the_help_shows_an_example_that_works(command: tuple[str, ...]) -> None:
    (example,) = re.findall(r"paytechuz (link \w+ --.*)", run(*command[:2], "--help"))
    assert run(*example.split()).startswith("https://")
