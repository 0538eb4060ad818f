"""The OpenAPI page is the manual: everything has a sentence, and each role sees what it may call."""

from typing import Any

import pytest

from tests.api.conftest import Hub
from tests.rls import matrix
from tests.rls.visibility import callers

RPCS = {f[4:]: words for f, words in matrix.table(matrix.FUNCTIONS).items() if f.startswith("api.")}


def page(hub: Hub, role: str) -> dict[str, Any]:
    who = callers(hub.dataset, role)[0][0]
    answer = hub.get(who, "/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/openapi+json")
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("role", matrix.ROLES)
def test_a_role_finds_in_the_manual_what_it_may_use_and_nothing_else(hub: Hub, role: str) -> None:
    paths = set(page(hub, role)["paths"]) - {"/"}
    calls = {f"/rpc/{name}" for name, words in RPCS.items() if words[role] == "yes"}
    lists = {f"/{name}" for name, words in matrix.table(matrix.VIEWS).items() if words[role] != "-"}
    assert paths == calls | lists


@pytest.mark.parametrize("role", matrix.ROLES)
def test_every_call_and_list_is_described_in_a_sentence(hub: Hub, role: str) -> None:
    document = page(hub, role)
    for path, methods in document["paths"].items():
        if path == "/":
            continue
        for method, operation in methods.items():
            if method in ("get", "post"):
                assert len(operation.get("summary", "").split()) >= 1, (path, method)
    assert document["info"]["title"] == "Alfa Beauty Digital Hub"


def test_the_manual_names_the_arguments_of_a_call(hub: Hub) -> None:
    post = page(hub, "partner")["paths"]["/rpc/submit_order"]["post"]
    body = next(p for p in post["parameters"] if p["in"] == "body")
    assert set(body["schema"]["properties"]) == {"items", "points", "notes", "idempotency_key"}
    assert body["schema"]["required"] == ["items"]
