"""The OpenAPI description: every operation has a summary, and each role sees exactly what it may use."""

from typing import Any

import pytest

from tests.api.conftest import ApiClient
from tests.rls import matrix
from tests.rls.visibility import callers

RPCS = {
    f[4:]: words
    for f, words in matrix.table(matrix.FUNCTIONS).items()
    if f.startswith("api.") and f[4:] not in matrix.RELATIONS
}


def page(api: ApiClient, role: str) -> dict[str, Any]:
    who = callers(api.dataset, role)[0][0]
    answer = api.get(who, "/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/openapi+json")
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("role", matrix.TOKEN_ROLES)
def test_openapi_lists_exactly_what_a_role_may_use(api: ApiClient, role: str) -> None:
    paths = set(page(api, role)["paths"]) - {"/"}
    calls = {f"/rpc/{name}" for name, words in RPCS.items() if words[role] == "yes"}
    lists = {f"/{name}" for name, words in matrix.table(matrix.VIEWS).items() if words[role] != "-"}
    assert paths == calls | lists


@pytest.mark.parametrize("role", matrix.TOKEN_ROLES)
def test_every_call_and_list_has_a_summary(api: ApiClient, role: str) -> None:
    document = page(api, role)
    for path, methods in document["paths"].items():
        if path == "/":
            continue
        for method, operation in methods.items():
            if method in ("get", "post"):
                assert len(operation.get("summary", "").split()) >= 1, (path, method)
    assert document["info"]["title"] == "Alfa Beauty Digital Hub"


def test_openapi_names_the_arguments_of_a_call(api: ApiClient) -> None:
    post = page(api, "partner")["paths"]["/rpc/submit_order"]["post"]
    body = next(p for p in post["parameters"] if p["in"] == "body")
    assert set(body["schema"]["properties"]) == {
        "items",
        "points",
        "notes",
        "idempotency_key",
        "expected_total",
    }
    assert body["schema"]["required"] == ["items"]
