"""The page of `paytechuz serve` in a browser: Debian's Chromium, without a window, against a shop that is served.

Where there is no `chromium`, these are skipped (`apt-get install chromium`), or fail where PAYTECHUZ_REQUIRE_DATABASES
is 1. Whatever a test does, the page may load nothing from elsewhere and write no error to the console.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from examples.serve import CLICK_WEBHOOK, KEY, SECRET, SERVICE, WEBHOOK, Running, shop
from paytechuz import checkout_link, payment_link
from paytechuz.cli.config import Config
from paytechuz.cli.page.desk import Desk, Settings, Source
from paytechuz.cli.page.server import page_server
from tests.cli.conftest import Serve, new_order, put_clocks_forward, status
from tests.cli.other_shop import KEY as OTHER_KEY
from tests.cli.other_shop import OtherShop
from tests.cli.shops import PaymeShop, listening, serving
from tests.cli.test_page import ORDERS, NeverEnds, desk_at, opened
from tests.databases import REQUIRED

ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE: Final = 20_000
"""Milliseconds: much more than anything here takes."""

PHONE: Final[ViewportSize] = {"width": 360, "height": 740}
MODULE: Final = """
from decimal import Decimal

from examples.serve import Running
from paytechuz_core.testing import Order

SHOP = Running({url!r}, None)


def new_order():
    return Order({{"id": str(SHOP.order("5000.50"))}}, 500_050)


def status(order):
    return SHOP.status(int(order.account["id"]))
"""


@pytest.fixture
def time_passes_at_once() -> None:
    """Let time pass as it does: the shop is another process."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with shop("fastapi", tmp_path_factory.mktemp("shop")) as started:
        yield started


@pytest.fixture(scope="module")
def folder(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the shop's own functions stand."""
    made = tmp_path_factory.mktemp("functions")
    (made / "shop_on_the_page.py").write_text(MODULE.format(url=running.url))
    yield made
    sys.modules.pop("shop_on_the_page", None)
    if str(made) in sys.path:
        sys.path.remove(str(made))


@pytest.fixture
def desk(running: Running, folder: Path) -> Desk:
    payme = {"url": running.url + WEBHOOK, "key": KEY}
    click = {"url": running.url + CLICK_WEBHOOK, "secret-key": SECRET, "service-id": SERVICE}
    source = Source("shop_on_the_page:new_order", "shop_on_the_page:status")
    return Desk(Config(folder, {}, {"payme": payme, "click": click}), source, Settings("payme", [], "5000.50"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium")
    if found is None:
        message = (
            "no chromium is installed: apt-get install chromium, and run pytest tests/cli/test_page_in_chromium.py"
        )
        if REQUIRED:
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield started
        started.close()


class Window:
    """The page, opened on a desk."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.asked: list[str] = []
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: self.errors.append(line.text) if line.type in ("error", "warning") else None)

    def open(self, path: str = "") -> Page:
        self.page.goto(self.url + path)
        self.page.wait_for_selector("body[data-ready]")
        return self.page

    def wait(self) -> None:
        """Wait until what is being played has ended."""
        self.page.wait_for_selector("body:not([data-playing])")

    def counts(self) -> tuple[int, int, int]:
        right, wrong, skipped = (int(self.page.inner_text(f"#count-{name}")) for name in ("right", "wrong", "skipped"))
        return right, wrong, skipped

    def lit(self) -> str | None:
        """Give the state that is lit up."""
        found = self.page.query_selector("#picture .now")
        return None if found is None else found.get_attribute("data-state")


@pytest.fixture
def window(browser: Browser, desk: Desk) -> Iterator[Window]:
    yield from windows(browser, desk)


def windows(browser: Browser, desk: Desk) -> Iterator[Window]:
    context = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 800})
    with serving(page_server(desk)) as server:
        opened_ = Window(context.new_page(), f"http://127.0.0.1:{server.server_port}/")
        yield opened_
        assert opened_.errors == []
        assert [url for url in opened_.asked if not url.startswith(opened_.url)] == []
        context.close()


def horizontal(page: Page) -> int:
    """Say by how many pixels a page is wider than its window."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider


# Scenarios


def test_every_scenario_is_played_and_right(browser: Browser, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    put_clocks_forward(monkeypatch)
    source = Source(f"{new_order.__module__}:new_order", f"{status.__module__}:status")
    payme = {"url": f"{serve(OtherShop()).url}/payme", "key": OTHER_KEY}
    for window in windows(browser, Desk(Config(Path.cwd(), {}, {"payme": payme}), source, Settings())):
        page = window.open()
        page.click("#run-all")
        window.wait()
        assert page.locator("#error").is_hidden()
        assert page.locator(".group").count() == page.locator(".scenario").count() == 15
        right, wrong, skipped = window.counts()
        assert (wrong, skipped) == (0, 0)
        assert right > 170
        expect(page.locator("#live")).to_have_text("rivals for one order: 10 right, 0 wrong")


def test_a_scenario_is_played_and_the_picture_lights_up(window: Window) -> None:
    page = window.open()
    page.click("text=Perform and refund")
    window.wait()
    assert window.counts() == (15, 0, 0)
    assert window.lit() == "-2"
    assert page.get_attribute("#picture", "aria-label") == "The transaction’s state: −2, refunded"
    assert page.locator("#picture .edges .been").count() == 3
    page.click("#clear")
    assert window.counts() == (0, 0, 0)


def test_click_is_played_too(window: Window) -> None:
    page = window.open()
    page.check("[name=gateway][value=click]")
    expect(page.locator(".scenario").first).to_contain_text("prepare with a wrong signature")
    for name in ("scenario 8, cancel after the payment", "wide numbers"):
        page.locator(".scenario", has_text=name).click()
        window.wait()
    assert window.counts()[1:] == (0, 0)
    assert page.locator(".group").count() == 2


def test_a_broken_shop_is_shown_in_red_with_the_reason_and_a_move_that_nothing_may_make(browser: Browser) -> None:
    with desk_at(opened(NeverEnds()).send) as desk:
        for window in windows(browser, desk):
            page = window.open()
            page.click("text=Create and cancel")
            window.wait()
            assert window.counts()[1] == 1
            wrong = page.locator("details.wrong")
            assert wrong.get_attribute("open") is not None
            expect(wrong).to_contain_text("Why it costs money, and how to mend it")
            expect(wrong).to_contain_text("no call leads out of a negative state; answer -31008.")
            assert page.locator("#picture .alarm").get_attribute("data-state") == "2"
            expect(page.locator("#caption")).to_contain_text("went from −1 to 2: nothing may do that.")
            page.check("#only-wrong")
            assert page.locator("li.right:visible").count() == 0


def test_what_an_endpoint_answers_is_shown_and_never_believed(browser: Browser) -> None:
    answer = '<img src="http://192.0.2.1/x" onerror="document.title=1"><script>document.title=2</script>'
    named = json.dumps({"id": 100_001, "result": {"state": "<b>1</b>", answer: answer}})
    for text in (answer, named):
        with desk_at(lambda *_, text=text: (200, text.encode())) as desk:
            for window in windows(browser, desk):
                page = window.open()
                page.click("text=Unknown transaction")
                window.wait()
                assert window.counts() == (0, 3, 0)
                expect(page.locator(".answered pre").first).to_contain_text("<script>document.title=2</script>")
                assert page.locator("#conversation img, #conversation script, #conversation b").count() == 0
                assert page.title() == "paytechuz"


def test_what_is_played_can_be_stopped(window: Window) -> None:
    page = window.open()
    page.click("#run-all")
    page.wait_for_selector("details.step")
    page.click("#stop")
    window.wait()
    assert page.locator(".group").count() < page.locator(".scenario").count()


# Single calls, and again


def test_a_payment_is_made_call_by_call_repeated_and_edited(window: Window) -> None:
    page = window.open()
    page.click("#tab-calls")
    page.click("#place")
    window.wait()
    expect(page.locator("#call-tiyin")).to_have_text("500 050 tiyin")
    for name, state in (("CheckPerform", None), ("Create", "1"), ("Perform", "2")):
        page.click(f"[data-call={name}Transaction]")
        window.wait()
        assert window.lit() == state
    assert page.input_value("[name=state]") == "paid"
    assert window.counts() == (3, 0, 0)

    page.click("details[open] >> text=Repeat")
    window.wait()
    expect(page.locator("details.step").last).to_contain_text("the same answer as before, byte for byte")
    page.locator("details.step").last.locator("text=Edit").click()
    body = page.input_value("#editor-body").replace("PerformTransaction", "CheckTransaction")
    page.fill("#editor-body", body)
    page.click("#editor >> text=Send")
    window.wait()
    expect(page.locator("details.step").last).to_contain_text("another answer than before")
    expect(page.locator("details.step").last.locator(".asked")).to_contain_text('"method": "CheckTransaction"')


def test_a_key_is_typed_and_gone(window: Window, desk: Desk) -> None:
    page = window.open()
    page.fill("[name=key]", "another key of the shop")
    page.press("[name=key]", "Enter")
    expect(page.locator("[name=key]")).to_have_value("")
    expect(page.locator("#key-state")).to_have_text("known, and kept by the server")
    assert desk.providers["payme"].key == "another key of the shop"
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert "another key" not in page.content()
    assert KEY not in page.content()
    page.fill("[name=url]", "http://192.0.2.1/webhook")
    page.press("[name=url]", "Tab")
    expect(page.locator("#problem")).to_contain_text("is not on this machine")


# The checkout


def test_a_payer_pays_by_the_shops_own_link_and_an_order_is_paid_once(window: Window, running: Running) -> None:
    order = running.order("5000.50")
    back = "https://shop.example/orders/1"
    link = checkout_link("587f72c7", 500_050, {"id": order}, return_url=back)
    page = window.open(link.removeprefix("https://checkout.paycom.uz/"))
    assert page.inner_text("#payer-amount") == "5\u00a0000.50 som"
    assert page.get_attribute("#payer-return a", "href") == back
    for action, state in (("pay", "2"), ("pay twice", "2"), ("cancel", "-2")):
        page.click(f"[data-action='{action}']")
        window.wait()
        assert window.lit() == state
    assert window.counts() == (6, 0, 0)
    expect(page.locator("#payer-state")).to_have_text("paid or closed")
    assert running.status(order) == "cancelled"
    assert page.url.startswith(window.url)


def test_answers_get_lost_and_payers_fall_asleep_and_click_has_its_own_link(window: Window, running: Running) -> None:
    page = window.open()
    page.click("#tab-checkout")
    for action, said in (("lose the answer", "state 2, perform_time a time, twice"), ("wait 12 hours", "-31008")):
        page.fill("[name=link]", checkout_link("587f72c7", 500_050, {"id": running.order("5000.50")}))
        page.click("text=Open the link")
        page.click(f"[data-action='{action}']")
        window.wait()
        expect(page.locator(".group").last).to_contain_text(said)
    page.fill("[name=link]", payment_link(SERVICE, 6, 500_050, running.order("5000.50")))
    page.click("text=Open the link")
    expect(page.locator("#payer-provider")).to_have_text("Click")
    assert page.locator("[data-action='wait 12 hours']").count() == 0
    page.click("[data-action='pay']")
    window.wait()
    assert (window.counts()[1], window.lit()) == (0, "2")


def test_a_link_that_is_none_is_said_and_leads_nowhere(window: Window) -> None:
    page = window.open("not+base64")
    expect(page.locator("#payer-problems")).to_contain_text("no base64 of key=value pairs")
    assert page.locator("#payer-actions button").count() == 0
    page.fill("[name=link]", "javascript:alert(1)")
    page.click("text=Open the link")
    expect(page.locator("#error")).to_contain_text("this is no payer's link")


# For everybody


def test_the_keyboard_is_enough(window: Window) -> None:
    page = window.open()
    page.keyboard.press("Tab")
    assert page.inner_text(":focus") == "Skip to the conversation"
    page.keyboard.press("3")
    assert page.locator("#checkout").is_visible()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#calls").is_visible()
    page.keyboard.press("1")
    for _ in range(2):  # from the tab to the button that runs all, and to the first scenario
        page.keyboard.press("Tab")
    assert page.inner_text(":focus strong").lower() == "bad credentials"
    page.keyboard.press("Enter")
    window.wait()
    assert window.counts()[1:] == (0, 0)
    page.keyboard.press("r")
    window.wait()
    expect(page.locator("details.step").last).to_contain_text("the same answer as before, byte for byte")
    page.keyboard.press("?")
    assert page.locator("#shortcuts").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#shortcuts").is_hidden()
    page.keyboard.press("l")
    expect(page.locator("html")).to_have_attribute("lang", "ru")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


def test_wrong_answers_are_reached_by_a_key(browser: Browser) -> None:
    with desk_at(lambda *_: (500, b"")) as desk:
        for window in windows(browser, desk):
            page = window.open()
            page.click("text=Unknown transaction")
            window.wait()
            for key, index in (("n", 0), ("n", 1), ("p", 0), ("p", 2)):
                page.keyboard.press(key)
                focused = "[...document.querySelectorAll('details.wrong > summary')].indexOf(document.activeElement)"
                assert page.evaluate(focused) == index


def test_on_a_phone_nothing_is_too_wide_and_nothing_is_covered(window: Window, running: Running) -> None:
    page = window.page
    page.set_viewport_size(PHONE)
    link = checkout_link("587f72c7", 500_050, {"id": running.order("5000.50")}).removeprefix(
        "https://checkout.paycom.uz/"
    )
    window.open(link)
    for language in ("ru", "uz", "en"):
        page.select_option("#language", language)
        expect(page.locator("html")).to_have_attribute("lang", language)
        for tab in ("scenarios", "calls", "checkout"):
            page.click(f"#tab-{tab}")
            assert horizontal(page) == 0, (language, tab)
    page.click("[data-action='pay']")
    window.wait()
    page.locator("details.step").last.locator("text=Repeat").click(trial=True)  # nothing lies over what was said
    page.evaluate("document.querySelector('#settings').open = true")
    assert horizontal(page) == 0
    assert window.counts() == (3, 0, 0)


CONTRAST: Final = """() => {
  const channel = (value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = rgb(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const worst = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const unseen = element.closest("svg, :disabled, [aria-disabled=true], .hidden");
    if (!own || !element.checkVisibility() || unseen) continue;
    const [a, b] = [light(rgb(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const named = `${element.tagName} ${element.className} "${element.textContent.slice(0, 30)}"`;
    if (ratio < 4.5) worst.push(`${named} ${ratio.toFixed(2)}`);
  }
  return worst;
}"""


def test_every_word_can_be_read_by_day_and_by_night(browser: Browser) -> None:
    with desk_at(opened(NeverEnds()).send) as desk:
        for window in windows(browser, desk):
            page = window.page
            page.emulate_media(reduced_motion="reduce", color_scheme="dark")
            window.open()
            dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
            page.click("text=Create and cancel")
            window.wait()
            assert page.evaluate(f"({CONTRAST})()") == []
            page.click("#theme")
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
            assert page.evaluate(f"({CONTRAST})()") == []
            page.reload()
            page.wait_for_selector("body[data-ready]")
            assert page.get_attribute("html", "data-theme") == "light"


def test_the_page_speaks_three_languages_and_remembers_which(window: Window) -> None:
    page = window.open()
    page.click("text=Paid order")
    window.wait()
    for language, words in (
        ("ru", ("Запустить все", "Оплаченный заказ", "Почему это важно", "Заказ оплатили бы дважды", "возврат")),
        (
            "uz",
            ("Hammasini ishga tushirish", "To‘langan buyurtma", "Nega bu muhim", "ikki marta to‘lanib", "qaytarilgan"),
        ),
    ):  # fmt: skip
        page.select_option("#language", language)
        expect(page.locator("html")).to_have_attribute("lang", language)
        shown = page.inner_text("body").lower()
        assert [word for word in words if word.lower() not in shown] == []
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.inner_text("#run-all") == "Hammasini ishga tushirish"


def test_an_order_that_is_listed_is_paid_without_any_function(browser: Browser) -> None:
    with listening(opened(PaymeShop()).send) as url:
        desk = Desk(Config(Path.cwd()), Source(), Settings())
        for window in windows(browser, desk):
            page = window.open()
            expect(page.locator("#problem")).to_have_text("Say where the shop listens.")
            page.fill("[name=url]", url)
            page.fill("[name=key]", "a:key&with#punctuation?36-characters")
            page.fill("#fields [data-part=name]", "id")
            page.fill("#fields [data-part=value]", f"1..{ORDERS}")
            page.fill("#form [name=amount]", "5000.01")
            page.press("#form [name=amount]", "Tab")
            expect(page.locator("#problem")).to_be_hidden()
            page.click("text=Held order")
            window.wait()
            assert window.counts() == (6, 0, 1)
