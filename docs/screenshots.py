"""The pictures of the page of `paytechuz serve`: `python docs/screenshots.py`, with Debian's Chromium and Playwright.

A shop is served and the page plays Payme against it: one that is right, and one that runs its paid hook twice. What
differs from run to run on the page (the port, how long an answer took) is written over before a picture is taken.
"""  # noqa: INP001 - a program beside the pages that it illustrates

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from paytechuz import checkout_link  # noqa: E402 - of this very repository
from paytechuz.cli.config import Config  # noqa: E402
from paytechuz.cli.page.desk import Desk, Settings, Source  # noqa: E402
from paytechuz.cli.page.server import page_server  # noqa: E402
from tests.cli import conftest  # noqa: E402
from tests.cli.other_shop import KEY, PRICE, HookTwice, OtherShop, Server, served  # noqa: E402
from tests.cli.shops import serving  # noqa: E402

PICTURES: Final = ROOT / "docs/pictures"
DESKTOP: Final[ViewportSize] = {"width": 1130, "height": 640}
PHONE: Final[ViewportSize] = {"width": 360, "height": 720}
SHARP: Final = 1.15
"""Pixels of a picture for a pixel of a wide page: pictures in pages of text are shown smaller, so that is enough."""

AS_EVERY_TIME: Final = r"""() => {
  const same = (text) => text.replace(/127\.0\.0\.1:\d+/g, "127.0.0.1:8000").replace(/^[\d.]+ ms$/, "2 ms");
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) texts.currentNode.data = same(texts.currentNode.data);
  for (const field of document.querySelectorAll("input, textarea")) field.value = same(field.value);
}"""


def main() -> None:
    """Take them."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        with opened(browser, OtherShop(), DESKTOP) as page:
            play(page, "Perform and refund")
            page.locator("summary", has_text="CheckPerformTransaction").click()
            page.evaluate(
                "document.querySelector('.group').scrollIntoView(), document.querySelector('aside').scrollTo(0, 0)"
            )
            take(page, "page-light")
        with opened(browser, HookTwice(), DESKTOP, dark=True) as page:
            play(page, "Perform and refund")
            page.click("#next-wrong")
            take(page, "page-wrong", "#stage")
        with opened(browser, shop := OtherShop(), DESKTOP) as page:
            page.click("#tab-checkout")
            page.fill("[name=link]", checkout_link("587f72c72cac0d162c722ae2", PRICE, shop.new_order()["account"]))
            page.click("text=Open the link")
            page.click("[data-action='lose the answer']")
            page.wait_for_selector("body:not([data-playing])")
            take(page, "page-checkout")
        with opened(browser, OtherShop(), PHONE, language="uz") as page:
            play(page, "To‘langan buyurtma")
            page.evaluate("document.querySelector('#overview').scrollIntoView()")
            take(page, "page-phone")
        browser.close()


@contextmanager
def opened(
    browser: Browser, shop: OtherShop, size: ViewportSize, *, dark: bool = False, language: str = "en"
) -> Iterator[Page]:
    """Open the page on a desk from which this shop is called."""
    with served(shop) as server, serving(page_server(desk(server))) as page_at:
        context = browser.new_context(
            viewport=size, device_scale_factor=SHARP if size is DESKTOP else 2, locale=language,
            color_scheme="dark" if dark else "light", reduced_motion="reduce",
        )  # fmt: skip
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{page_at.server_port}/")
        page.wait_for_selector("body[data-ready]")
        page.evaluate("document.querySelector('#settings').open = false")
        yield page
        context.close()


def desk(server: Server) -> Desk:
    """Lay out a desk as pyproject.toml would."""
    conftest.SERVED[:] = [server]
    source = Source("tests.cli.conftest:new_order", "tests.cli.conftest:status")
    payme = {"url": f"{server.url}/payme", "key": KEY}
    return Desk(Config(ROOT, {}, {"payme": payme}), source, Settings("payme", [("order", "1..40")], "5000.00"))


def play(page: Page, scenario: str) -> None:
    """Play a scenario to its end."""
    page.click(f"text={scenario}")
    page.wait_for_selector("body:not([data-playing])")


def take(page: Page, name: str, part: str | None = None) -> None:
    """Take a picture of what is in the window, or of a part of it."""
    page.evaluate(AS_EVERY_TIME)
    taken = page if part is None else page.locator(part)
    taken.screenshot(path=PICTURES / f"{name}.png", animations="disabled", caret="hide")


if __name__ == "__main__":
    main()
