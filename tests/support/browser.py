"""Chromium as a person uses it: pages whose errors fail the test, and checks of what is shown."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route

from hub import pages
from tests.support.pages import Site

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
AXE = pages.folder() / "node_modules" / "axe-core" / "axe.min.js"
XSS = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\'"&'
"""A text that would run if a page took it for markup."""


class Person:
    """A browser context: its pages share cookies and storage. `problems` are errors that no page may have."""

    def __init__(self, context: BrowserContext, site: Site) -> None:
        self.context = context
        self.site = site
        self.problems: list[str] = []
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.problems.append(str(error.error)))

    def _hear(self, message: ConsoleMessage) -> None:
        # Chromium reports each refusal (4xx) as a resource that failed to load.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    def open(self, path: str = "") -> Page:
        """A new tab at an address below the site."""
        page = self.context.new_page()
        page.goto(self.site.url + path)
        return page

    def sign_in(self, email: str, password: str, app: str = "shop", role: str | None = None) -> None:
        """Have a session as after a sign-in and a reload; the tests of the sign-in itself use the form."""
        body = {"email": email, "password": password} | ({"role": role} if role else {})
        answer = httpx.post(f"{self.site.url}api/rpc/login", json=body, trust_env=False, timeout=30)
        assert answer.status_code == 200, answer.text
        self.keep_session(answer.json(), app)

    def keep_session(self, tokens: Any, app: str = "shop") -> None:
        """Store the refresh token of an answer of login or redeem_link."""
        page = self.open("config.json")
        key = f"alfa-hub.{app}.refresh"
        page.evaluate("([key, token]) => localStorage.setItem(key, token)", [key, tokens["refresh_token"]])
        page.close()


@contextmanager
def person(browser: Browser, site: Site, viewport: dict[str, int]) -> Iterator[Person]:
    """A person with a browser of their own; at the end no page has had an error."""
    context = browser.new_context(
        viewport=viewport,  # type: ignore[arg-type]
        locale="id-ID",
        timezone_id="Asia/Jakarta",
        service_workers="block",
        reduced_motion="reduce",
    )
    context.set_default_timeout(10_000)
    try:
        someone = Person(context, site)
        yield someone
        hacked = [page.url for page in context.pages if page.evaluate("'hacked' in window")]
        assert someone.problems + hacked == []
    finally:
        context.close()


def axe_findings(page: Page) -> list[str]:
    """What axe-core finds on a page, one line for each rule and element."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    # Passed rules and the selectors of elements are not reported.
    found = page.evaluate(
        "axe.run({resultTypes: ['violations'], selectors: false}).then(result => result.violations)"
    )
    return [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]]


def is_wider_than_screen(page: Page) -> bool:
    """Whether the page scrolls sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


NUMBERS = r"/[A-Z]{2,5}(?:-[A-Z0-9]+)+|[-\u2212]?Rp[\d.,]*\d/g"
"""Numbers of documents and products, and amounts, as a regular expression of JavaScript."""


def broken_numbers(page: Page) -> list[str]:
    """The numbers and amounts that a page shows in more than one line."""
    found: list[str] = page.evaluate(
        "() => { const broken = []; const range = document.createRange();"
        " const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);"
        f" while (texts.nextNode()) for (const found of texts.currentNode.data.matchAll({NUMBERS})) {{"
        " range.setStart(texts.currentNode, found.index);"
        " range.setEnd(texts.currentNode, found.index + found[0].length);"
        " if (new Set([...range.getClientRects()].map(part => Math.round(part.top))).size > 1)"
        " broken.push(found[0]) }"
        " return broken }"
    )
    return found


def _words(*files: Path) -> set[str]:
    texts = " ".join(
        found for file in files for found in re.findall(r':\s"((?:[^"\\]|\\.)*)"', file.read_text())
    )
    return set(re.findall(r"[a-z]{2,}", re.sub(r"%?\{\w+\}", " ", texts).lower()))


def english_words(page: Page, app: str) -> set[str]:
    """Words that a page shows or reads aloud and that only the English texts of `app` have."""
    english, indonesian = (
        _words(*(pages.folder() / part / "src" / "texts" / f"{language}.ts" for part in (app, "common")))
        for language in ("en", "id")
    )
    shown = page.evaluate(
        "() => [document.title, document.body.innerText, ...[...document.querySelectorAll('*')]"
        ".flatMap(each => ['aria-label', 'title', 'placeholder'].map(name => each.getAttribute(name)))]"
        ".join(' ')"
    )
    # Indonesian addresses have "No. 55".
    return set(re.findall(r"[a-z]{2,}", shown.lower())) & (english - indonesian - {"no"})


def refuse(status: int, code: str, details: str | None = None) -> Callable[[Route], None]:
    """A route handler that answers as the gateway refuses."""
    body = {"code": code, "message": "refused by the test", "details": details, "hint": None}
    return lambda route: route.fulfill(status=status, content_type="application/json", body=json.dumps(body))


def lose_answer(route: Route) -> None:
    """A route handler: the request arrives and is carried out, its answer is lost."""
    route.fetch()
    route.abort()


class Hold:
    """A route handler that keeps requests until `release`; later ones pass."""

    def __init__(self) -> None:
        self._held: list[Route] = []
        self._is_released = False

    def __call__(self, route: Route) -> None:
        if self._is_released:
            route.continue_()
        else:
            self._held.append(route)

    def release(self) -> None:
        self._is_released = True
        for route in self._held:
            route.continue_()
