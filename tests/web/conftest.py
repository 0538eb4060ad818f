"""Fixtures of the browser tests: the demo data behind a gateway, the pages, and Chromium."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from hub.cluster import Cluster
from hub.seed import load
from tests.support import test_cluster
from tests.support.browser import Person, person
from tests.support.gateway import running_gateway
from tests.support.pages import Site, running_pages

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
"""The same browser without its user interface takes half of the processor time."""

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="module")
def site(cluster: Cluster, template: str, request: pytest.FixtureRequest) -> Iterator[Site]:
    """The pages on the demo data, for the tests of one file; APPS of the module names what is built."""
    with test_cluster.scratch_database(cluster, "pages", template) as name:
        load(cluster.url(name))
        with running_gateway(cluster, name) as gateway, running_pages(gateway, *request.module.APPS) as site:
            yield site


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    # It keeps an event loop running in this thread, where asyncio.run() of other files would fail.
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Debian's Chromium; tests open contexts of their own in it."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield launched
    launched.close()


@pytest.fixture
def someone(browser: Browser, site: Site, request: pytest.FixtureRequest) -> Iterator[Person]:
    """A browser that is not signed in, or signs out; VIEWPORT of the module is its size."""
    with person(browser, site, request.module.VIEWPORT) as made:
        yield made
