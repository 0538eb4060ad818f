"""Which tests to run for a mutant, and in which order: a cheap map from its kind and domain to test files."""

import re
from dataclasses import dataclass
from pathlib import Path

from devtools.mutation.mutants import Mutant
from hub import paths

CATALOGUE = ("tests/conventions/",)
"""Tests of the catalogue notice that an object is missing, whether or not a rule depends on it.

They run last, and what only they notice is reported apart.
"""

_ACTING_CONVENTIONS = ("tests/conventions/test_error_codes.py",)
"""Convention tests that call functions: they count as tests of behaviour."""

_EXCLUDED = (
    *("tests/crash_recovery/", "tests/devtools/", "tests/fuzz/", "tests/migrations/", "tests/stack/"),
    *("tests/cache/", "tests/common/", "tests/standin/", "tests/stateful/", "tests/support/"),
    *("tests/whatsapp/", "tests/web/", "tests/erp/test_tryton"),
    *("tests/conventions/test_layout.py", "tests/conventions/test_specification.py"),
)
"""Tests of files, of other servers or other databases than the mutated one, and slow ones."""

_ACCESS = ("tests/rls/", "tests/api/")
"""Tests of what each role may see and do."""

ACCESS_KINDS = {"policy", "rls", "view", "grant"}

_CONCURRENCY = "tests/concurrency/"

_INTERLEAVINGS = "tests/concurrency/test_lock_interleavings.py"
"""Chosen interleavings, one for each lock: quicker than random load."""

_CONSTRAINTS = "tests/constraints/"
"""Tests of what a table refuses by itself, past every trigger."""

_RELATED = {
    "agents": ("tests/domain/shadow/", "tests/domain/auth/"),
    "auth": ("tests/api/test_sessions.py",),
    "catalog": ("tests/domain/pricing/", "tests/domain/inventory/"),
    "erp": ("tests/erp/test_streams.py", "tests/erp/test_quarantine.py"),
    "invoices": ("tests/domain/loyalty/",),
    "jobs": ("tests/domain/test_jobs.py",),
    "loyalty": ("tests/domain/shadow/test_shadow.py",),
    "messaging": ("tests/domain/shadow/",),
    "orders": (
        *("tests/domain/partners/", "tests/domain/service_level/", "tests/api/test_order_life.py"),
        *("tests/domain/invoices/test_corrections.py", "tests/domain/loyalty/test_points.py"),
    ),
    "partners": ("tests/domain/service_level/test_agents_escalations.py", "tests/rls/test_forged_claims.py"),
    "regions": ("tests/domain/subdistributors/", "tests/domain/partners/"),
    "statistics": ("tests/domain/test_jobs.py",),
}
"""Tests of a domain that are outside its own folder."""

_OF_KIND = {"guard": "tests/api/test_wrong_input.py", "trigger": "tests/constraints/test_triggers.py"}
"""Tests that cover most mutants of a kind, whatever the domain."""

_CHECK = re.compile(r" (?:check|require|optional)_\w+:\d+$")
"""A call that does nothing but refuse: its removal is the removal of a guard."""

_MAX_HINTS, _MIN_SCORE = 8, 2
_STOP_WORDS = {
    *("app", "auth", "api", "jobs", "for", "key", "update", "skip", "dropped", "opened", "fkey", "check"),
}


@dataclass(frozen=True)
class Choice:
    """Test files in the order in which to run them."""

    near: list[str]
    """Tests of the mutant's kind and domain."""
    far: list[str]
    """All other tests of behaviour."""
    catalogue: list[str]
    """Tests that inspect the catalogue."""


def choose(mutant: Mutant, files: list[str], seconds: dict[str, float], *, near: bool = False) -> Choice:
    """The test files for a mutant, chosen from `files`; `seconds` is how long each takes without a mutant.

    `near`: only the tests of the mutant's kind and domain, not all others after them.
    """
    catalogue = [f for f in files if f.startswith(CATALOGUE) and f not in _ACTING_CONVENTIONS]
    acting = [f for f in files if f not in catalogue]
    if mutant.kind == "lock":
        # A lock shows only where two connections meet, and in no catalogue.
        catalogue = []
        acting = [f for f in acting if f.startswith(_CONCURRENCY)]
    else:
        acting = [f for f in acting if not f.startswith(_CONCURRENCY)]
    domain = "audit" if "_audit_" in mutant.name else mutant.domain
    of_kind = _OF_KIND.get("guard" if mutant.kind == "call" and _CHECK.search(mutant.name) else mutant.kind)
    of_domain = (f"tests/domain/{domain}/", *_RELATED.get(domain, ())) if domain else ()

    def rank(file: str) -> int:
        """0 for the nearest tests."""
        folder = _top_folder(file)
        if mutant.kind == "lock":
            return 0 if file == _INTERLEAVINGS or (domain and domain in Path(file).stem) else 1
        if mutant.kind in ACCESS_KINDS:
            return _ACCESS.index(folder) if folder in _ACCESS else 2
        if mutant.kind in {"constraint", "required"}:
            return 0 if folder == _CONSTRAINTS else 1 if file.startswith(of_domain) else 2
        return 0 if file.startswith(of_domain) or file == of_kind else 1

    def order(file: str) -> tuple[int, bool, float, str]:
        """Nearest first, among them the interleavings and the domain's, then quick ones."""
        first = file == _INTERLEAVINGS or file.startswith(of_domain)
        return (rank(file), not first, seconds.get(file, 0.0), file)

    acting.sort(key=order)
    nearest = rank(acting[0]) if acting else 0
    close = [f for f in acting if rank(f) == nearest]
    return Choice(close, [] if near else acting[len(close) :], sorted(catalogue))


def dedicated_test(mutant: Mutant, nodes: list[str]) -> str | None:
    """The one parametrised test of a constraint or a required column, or None."""
    if mutant.kind not in {"constraint", "required"}:
        return None
    table, name = mutant.name.split(" ", 1)[1].split(".", 1)
    column = name.removeprefix(f"{table}_").removesuffix("_fkey")
    for node in nodes:
        if not node.startswith(_CONSTRAINTS):
            continue
        file, _, test = node.partition("::")
        if mutant.kind == "required":
            found = Path(file).stem == "test_required" and test.endswith(f".{table}]")
        else:
            found = test.endswith((f"[{name}]", f"-{name}]")) or f".{table}.{column} >" in test
        if found:
            return node
    return None


def names_grant(mutant: Mutant, reason: str) -> bool:
    """Whether the failure of a test that lists each offender as a tuple on its own line lists this grant.

    Grants: `grant app.f(...)`, `grant app.orders`, `grant schema app`, `grant orders.notes to erp`.
    """
    target = mutant.name.removeprefix("grant ").removeprefix("schema ").split("(", 1)[0]
    target, _, role = target.partition(" to ")
    table, _, column = target.partition(".")
    wanted = [f".{table}'", f"'{column}'", f"'{role}'"] if role else [f"('{target}',"]
    lines = (line.removeprefix("E").strip() for line in reason.splitlines())
    return any(line[:1] == "(" and all(word in line for word in wanted) for line in lines)


def batches(dedicated: dict[Mutant, str], size: int = 40) -> list[list[Mutant]]:
    """Groups of mutants that can share a database: no two of a group have the same test."""
    waiting, result = list(dedicated), []
    while waiting:
        batch: dict[str, Mutant] = {}
        for mutant in waiting:
            if len(batch) < size:
                batch.setdefault(dedicated[mutant], mutant)
        result.append(list(batch.values()))
        taken = set(result[-1])
        waiting = [mutant for mutant in waiting if mutant not in taken]
    return result


def hinted_tests(mutant: Mutant, nodes: list[str]) -> list[str]:
    """A few single tests whose names share words with the mutant's: they run before whole files."""
    name = mutant.name.rsplit(" ", 1)[-1].rsplit(".", 1)[-1]
    table = mutant.name.split(" ", 1)[1].split(".", 1)[0]
    words = {word for word in re.split(r"[^a-z]+", mutant.name.lower()) if len(word) > 2} - _STOP_WORDS
    scored = []
    for node in nodes:
        test = node.split("::", 1)[-1].lower()
        score = 5 * (f"[{name}" in test or f"-{name}]" in test) + 3 * (f".{table}]" in test)
        score += 4 * (
            f".{table}.{name} " in test or name.removesuffix("_fkey").removeprefix(f"{table}_") in test
        )
        score += sum(word in test or word.removesuffix("s") in test for word in words)
        if score >= _MIN_SCORE:
            scored.append((-score, node))
    return [node for _, node in sorted(scored)[:_MAX_HINTS]]


def candidate_files() -> list[str]:
    """Every test file that a mutated database can concern, relative to the checkout's root."""
    root = paths.root()
    found = (str(path.relative_to(root)) for path in sorted((root / "tests").rglob("test_*.py")))
    return [file for file in found if not file.startswith(_EXCLUDED)]


def _top_folder(file: str) -> str:
    return "/".join(Path(file).parts[:2]) + "/"
