"""Partners in Tryton: a party for each, with the code HUB-<partner id>; Tryton keeps codes unique."""

from typing import Any

from adapters.erp.port import Order, RefusedError
from adapters.erp.tryton_rpc import Client


class Parties:
    """Finds or creates the party of an order's partner."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def ensure(self, order: Order) -> tuple[int, int]:
        """Ids of the party and its address. Raises RefusedError if the party has no address."""
        code = f"HUB-{order.partner_id}"
        party = await self._find([["code", "=", code]])
        if party is None:
            try:
                await self._client.call("model.party.party.create", [_values(code, order)])
            except RefusedError:
                # The code is unique: the party may have been created concurrently.
                if await self._find([["code", "=", code]]) is None:
                    raise
            party = await self._find([["code", "=", code]])
        while party and party["replaced_by"]:  # the accountant merged it into another party
            party = await self._find([["id", "=", party["replaced_by"]]])
        if party is None or not party["addresses"]:
            raise RefusedError(f"the party {code} of {order.business_name} has no address in Tryton")
        return party["id"], party["addresses"][0]

    async def _find(self, domain: list[Any]) -> dict[str, Any] | None:
        rows = await self._client.search_read(
            "party.party", domain, ["replaced_by", "addresses"], context={"active_test": False}
        )
        return rows[0] if rows else None


def _values(code: str, order: Order) -> dict[str, Any]:
    contacts = [
        {"type": kind, "value": value}
        for kind, value in (("email", order.email), ("phone", order.phone))
        if value
    ]
    return {
        "name": order.business_name,
        "code": code,
        "addresses": [("create", [{"street_unstructured": order.address}])],
        "contact_mechanisms": [("create", contacts)] if contacts else [],
    }
