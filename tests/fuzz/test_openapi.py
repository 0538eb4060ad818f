"""schemathesis: requests generated from the OpenAPI description of each role, for some seconds each.

To go further:

    HUB_FUZZ_SECONDS=60 HUB_FUZZ_EXAMPLES=100 HUB_FUZZ_SEED=7 ./hub test --no-lint tests/fuzz/test_openapi.py
    ./hub dev long-form tests/fuzz     # more than 50,000 requests, all roles and calls
"""

import math
import os
import random
import re
import time
from typing import Any
from urllib.parse import unquote_plus

import psycopg
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.api.conftest import ApiClient
from tests.fuzz.test_malformed_input import LENIENT, leaks_in
from tests.rls import matrix
from tests.rls.visibility import callers
from tests.support.context import broken_invariants

SECONDS = float(os.environ.get("HUB_FUZZ_SECONDS", "2"))
EXAMPLES = int(os.environ.get("HUB_FUZZ_EXAMPLES", "6"))
SEED = int(os.environ.get("HUB_FUZZ_SEED", "0"))
CASES = int(os.environ.get("HUB_FUZZ_CASES", "60000"))
"""Requests of the long form, shared by the roles and their operations; those with few inputs get fewer."""

DOMAIN = re.compile(r"value for domain app\.\w+ violates check constraint")
"""PostgreSQL's own text of a violated constraint (23514), which writes to master data keep."""


class Budget:
    """The seconds of requests for a role, from its first one on: generating the first takes a while."""

    def __init__(self, seconds: float = SECONDS, examples: int = EXAMPLES) -> None:
        self.seconds = seconds
        self.examples = examples
        self.sent = 0
        self.until = float("inf")

    @property
    def spent(self) -> bool:
        return time.monotonic() > self.until

    def count(self) -> None:
        if not self.sent:
            self.until = time.monotonic() + self.seconds
        self.sent += 1


@pytest.mark.parametrize("role", matrix.TOKEN_ROLES)
def test_requests_made_up_from_the_manual_of_a_role(api: ApiClient, role: str) -> None:
    budget = Budget()
    wrong = _fuzz(api, role, budget)
    assert budget.sent > 0
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.long_form
@pytest.mark.parametrize("role", matrix.TOKEN_ROLES)
def test_thousands_of_requests_to_every_operation_of_a_role(api: ApiClient, role: str) -> None:
    share = math.ceil(CASES / len(matrix.TOKEN_ROLES))
    budget = Budget(seconds=3600, examples=math.ceil(share / len(_operations(api, role))))
    wrong = _fuzz(api, role, budget)
    print(f"{role}: {budget.sent} requests")
    assert not wrong, "\n" + "\n".join(wrong)


def test_after_all_of_it_the_promises_hold(api: ApiClient) -> None:
    with psycopg.connect(api.gateway.database_url) as conn:
        assert broken_invariants(conn) == {}


def _operations(api: ApiClient, role: str) -> list[Any]:
    """What the OpenAPI description shows the role, in an order that depends on the seed."""
    document = api.get(callers(api.dataset, role)[0][0], "/").json()
    schema = schemathesis.openapi.from_dict(document)
    operations: list[Any] = [getattr(result, "ok")() for result in schema.get_all_operations()]  # noqa: B009
    operations = [o for o in operations if o.path != "/" and o.method.upper() in ("GET", "POST")]
    random.Random(f"{SEED}-{role}").shuffle(operations)  # noqa: S311  repeatable, not secret
    return operations


def _fuzz(api: ApiClient, role: str, budget: Budget) -> list[str]:
    """Send requests of each operation until the budget is spent; returns the wrong answers."""
    headers = api.headers(callers(api.dataset, role)[0][0])
    wrong: list[str] = []
    with requests.Session() as session:
        session.trust_env = False
        for operation in _operations(api, role):
            if budget.spent:
                break
            _try(api, session, operation, headers, budget, wrong)
    return wrong


def _sent(answer: Any) -> str:
    """The address and the body of the request, which an error may quote."""
    body = answer.request.body or b""
    return unquote_plus(answer.request.url or "") + (
        body if isinstance(body, str) else body.decode(errors="replace")
    )


def _try(
    api: ApiClient,
    session: requests.Session,
    operation: Any,
    headers: dict[str, str],
    budget: Budget,
    wrong: list[str],
) -> None:
    """Send generated requests of one operation."""

    @seed(SEED)
    @settings(
        max_examples=budget.examples,
        deadline=None,
        database=None,
        derandomize=not SEED,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def one(case: Any) -> None:
        if budget.spent:
            return
        budget.count()
        answer = case.call(base_url=api.gateway.url, headers=headers, session=session, timeout=20)
        line = f"{operation.method.upper()} {operation.path} {case.body!r:.200}: {answer.status_code}"
        if answer.status_code >= 500 and not LENIENT.search(answer.text[:20]) and answer.status_code != 501:
            wrong.append(f"{line} {answer.text[:300]}")
            return
        leak = leaks_in(DOMAIN.sub("", answer.text), refused=answer.status_code >= 400)
        if leak and leak not in _sent(answer):
            wrong.append(f"{line} leaks {leak!r}")

    one()
