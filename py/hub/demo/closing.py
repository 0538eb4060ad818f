"""The end: where everything is, and what to try."""

import json

from adapters.common.tokens import mint
from hub.demo.context import Stage
from hub.demo.ordering import ITEMS
from hub.seed import PASSWORD
from hub.seed.dataset import person_id

AGENT = "rizky@alfabeauty.example"
_MINUTES = 60


def show(stage: Stage) -> None:
    """URLs, tokens and three requests."""
    tell = stage.narrator.plain
    tokens = tokens_of(stage)
    tell()
    tell("The stack goes on running: ./hub status, ./hub down.", "bold")
    tell(f"  API        {stage.api.url}   (GET / is its manual, in OpenAPI)")
    tell("  Database   ./hub psql")
    tell("  Messages   ./hub logs whatsapp -f")
    tell(f"  Password   {PASSWORD}, everybody's: salon-melati-bogor@salon.example, {AGENT}, ...")
    tell()
    tell(f"Tokens, good for {_MINUTES} minutes:", "bold")
    for role, token in tokens.items():
        tell(f"  {role:8} {token}")
    tell()
    tell("Try:", "bold")
    for line in requests(stage.api.url, tokens):
        tell(line)


def tokens_of(stage: Stage) -> dict[str, str]:
    """A token for each of the story's people, and for the region's agent."""
    ids = stage.ids | {"agent": str(person_id("agent", AGENT))}
    return {
        role: mint(stage.jwt_secret, role, ids[role], minutes=_MINUTES)
        for role in ("partner", "subdist", "agent", "admin")
    }


def requests(url: str, tokens: dict[str, str]) -> list[str]:
    """Three lines to paste."""
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
    ]


def _curl(url: str, path: str, token: str, more: str = "") -> str:
    return f"curl -s -g '{url}/{path}' -H 'Authorization: Bearer {token}'{' ' if more else ''}{more}"
