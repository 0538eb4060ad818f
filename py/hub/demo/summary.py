"""The end of the demo: URLs, accounts, tokens and requests to try."""

import json

from adapters.common.tokens import mint
from hub.demo.context import DemoContext
from hub.demo.ordering import ITEMS
from hub.seed import PASSWORD
from hub.seed.dataset import person_id

PARTNER = "salon-melati-bogor@salon.example"
AGENT = "rizky@alfabeauty.example"
ADMIN = "dewi@alfabeauty.example"
SUPERADMIN = "ratna@alfabeauty.example"
_MINUTES = 60


def show(demo: DemoContext, cache_url: str = "", reports_url: str = "", pages_url: str = "") -> None:
    """Print URLs, tokens and some requests.

    `cache_url` is the cache's, `reports_url` that of the gateway for reports and `pages_url` the shop's,
    where there are such.
    """
    line = demo.narrator.plain
    tokens = tokens_of(demo)
    line()
    line("The stack keeps running. Show it with ./hub status, stop it with ./hub down.", "bold")
    if pages_url:
        for text in addresses(demo, pages_url):
            line(text)
    line(f"  API        {demo.api.url}   (GET / returns its OpenAPI description)")
    if cache_url:
        line(f"  Cache      {cache_url}   (GET /catalogue, /configs and /stock, as fresh as the API)")
    if reports_url:
        line(f"  Reports    {reports_url}   (the same API from the standby, read-only)")
    line("  Database   ./hub psql")
    line("  Messages   ./hub logs whatsapp -f")
    line(f"  Password   {PASSWORD} for every account: {PARTNER}, {AGENT}, ...")
    line()
    line(f"Tokens, valid for {_MINUTES} minutes:", "bold")
    for role, token in tokens.items():
        line(f"  {role:8} {token}")
    line()
    line("Try:", "bold")
    for request in requests(demo.api.url, tokens, cache_url):
        line(request)


def addresses(demo: DemoContext, pages_url: str) -> list[str]:
    """The pages, each with an account that signs in there."""
    number = demo.value(
        "select whatsapp_number from app.sub_distributors where id = %s", demo.ids.get("subdist")
    )
    return [
        f"  Shop       {pages_url}   (partners: {PARTNER})",
        f"  Queue      {pages_url}#/link   (sub-distributors: {number}; code: ./hub logs whatsapp)",
        f"  Console    {pages_url}console/   (headquarters: {ADMIN}, {SUPERADMIN}; agents: {AGENT})",
    ]


def tokens_of(demo: DemoContext) -> dict[str, str]:
    """A token for each account of the demo, and for the region's agent."""
    ids = demo.ids | {"agent": str(person_id("agent", AGENT))}
    return {
        role: mint(demo.jwt_secret, role, ids[role], minutes=_MINUTES)
        for role in ("partner", "subdist", "agent", "admin")
    }


def requests(url: str, tokens: dict[str, str], cache_url: str = "") -> list[str]:
    """Curl commands to paste."""
    cached = [_curl(cache_url, "catalogue", tokens["partner"], "| head -c 300")] if cache_url else []
    basket = json.dumps({"items": ITEMS})
    return [
        _curl(url, "products?select=sku,name,price,display_stock&order=sku&limit=3", tokens["partner"]),
        _curl(
            url, "rpc/quote_order", tokens["partner"], f"-H 'Content-Type: application/json' -d '{basket}'"
        ),
        _curl(
            url,
            "orders?select=order_number,status,grand_total,order_items(quantity,products(sku)),invoices(status)"
            "&order=created_at.desc&limit=2",
            tokens["admin"],
        ),
        _curl(
            url,
            "overdue_invoices?select=business_name,invoice_number,amount_due,days_overdue&order=due_date",
            tokens["admin"],
        ),
        *cached,
    ]


def _curl(url: str, path: str, token: str, more: str = "") -> str:
    return f"curl -s -g '{url}/{path}' -H 'Authorization: Bearer {token}'{' ' if more else ''}{more}"
