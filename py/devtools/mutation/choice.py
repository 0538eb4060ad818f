"""Which tests should notice: a cheap map from a mutant's kind and domain to test files."""

import re
from dataclasses import dataclass
from pathlib import Path

from devtools.mutation.mutants import Mutant
from hub import paths

# What looks into the catalogue notices that an object is gone, whether or not anything rests on it. These run
# last, and what only they notice is told apart. (For a GRANT the list of who may what is the promise itself.)
CATALOGUE = ("tests/schema",)

# These look at files, other servers or other databases than the mutated one, or take too long for each.
_OTHER = {
    "adapters",
    "migrate",
    "stack",
    "gateway",
    "mutate",
    "crash",
    "fuzz",
    "walks",
    "bench",
    "demo",
    "seed",
    "docs",
    "whatsapp",
}

_OTHER_FILES = "test_tryton"
"""The start of names of files that start an ERP of their own."""

_ACCESS = ("rls", "api")
"""Folders that speak of who may do and see what."""

ACCESS_KINDS = {"policy", "rls", "view", "grant"}

_LOCKS = ("concurrency",)

_RACES = "test_turns"
"""Races held still: one for each lock."""

_TABLES = "tables"
"""What a table refuses by itself, past every trigger."""

# Words in file names that speak of a domain, where the domain's own name does not stand there.
_WORDS = {
    "account": ("login", "account"),
    "agents": ("agent", "people", "shadow"),
    "audit": ("audit", "trail"),
    "auth": ("login", "session", "guard"),
    "catalog": ("catalog", "stock", "price"),
    "claims": ("claim",),
    "consistency": ("consistency", "invariant"),
    "contacts": ("phone", "contact", "append"),
    "errors": ("error", "argument", "text"),
    "headquarters": ("headquarters", "config", "admin"),
    "impersonation": ("shadow", "impersonat"),
    "inbox": ("inbox", "inbound", "whatsapp"),
    "invoices": ("invoice", "payment", "money"),
    "loyalty": ("point", "reward", "loyalty", "redemption"),
    "money": ("invoice", "payment", "point"),
    "ordering": ("order", "draft", "submit", "idempot"),
    "orders": ("order", "state", "credit"),
    "outbox": ("outbox", "message"),
    "partners": ("partner", "people", "credit"),
    "points": ("point", "loyalty"),
    "prices": ("price",),
    "regions": ("region", "routing"),
    "request_guard": ("guard", "session", "claim"),
    "rewards": ("reward", "redemption", "point"),
    "routing": ("routing", "route"),
    "service_level": ("sla", "service", "escalat"),
    "sessions": ("session", "login", "password"),
    "shadow": ("shadow", "impersonat"),
    "stock": ("stock", "invent"),
    "sub_distributors": ("subdist", "sub_distributor", "routing", "people"),
    "system_configs": ("config",),
    "tier_prices": ("price",),
}


_HINTS, _TELLING = 8, 2
_DULL = {"app", "auth", "api", "jobs", "for", "key", "update", "skip", "dropped", "opened", "fkey", "check"}


@dataclass(frozen=True)
class Choice:
    """Test files in the order in which they are worth asking.

    Those that act and speak of the mutant, the others that act, and those that look things up.
    """

    near: list[str]
    far: list[str]
    looking: list[str]


def choose(mutant: Mutant, files: list[str], seconds: dict[str, float], *, near: bool = False) -> Choice:
    """The tests for a mutant; `files` is what there is, `seconds` what each took unharmed.

    `near`: only those whose names or folders speak of it, without falling back on all others.
    """
    looking = [f for f in files if f.startswith(CATALOGUE)]
    acting = [f for f in files if f not in looking]
    if mutant.kind == "lock":
        # A lock shows only where two connections meet, and in no catalogue.
        looking = []
        acting = [f for f in acting if _folder(f) in _LOCKS or "lock" in Path(f).stem]
    else:
        acting = [f for f in acting if _folder(f) not in _LOCKS]
    words = (mutant.domain, *_WORDS.get(mutant.domain, ())) if mutant.domain else ()
    if "_audit_" in mutant.name:
        words = _WORDS["audit"]

    def rank(file: str) -> tuple[int, float, str]:
        """Files of the kind and the domain first, then the quick ones."""
        stem, folder = Path(file).stem, _folder(file)
        told = any(word in stem for word in words)
        if mutant.kind in ACCESS_KINDS:
            place = 0 if folder == _ACCESS[0] else 1 if folder in _ACCESS else 2
        elif mutant.kind in {"constraint", "required"}:
            place = 0 if folder == _TABLES else 1 if told else 2
        else:
            place = 0 if told else 1
        if mutant.kind == "lock" and stem == _RACES:
            place = -1
        return (place, seconds.get(file, 0.0) - told * 1000, file)

    acting.sort(key=rank)
    best = max(0, rank(acting[0])[0]) if acting else 0
    close = [f for f in acting if rank(f)[0] <= best]
    return Choice(close, [] if near else acting[len(close) :], sorted(looking))


def own_test(mutant: Mutant, nodes: list[str]) -> str | None:
    """The one test that exists for this very mutant, as its parameter says."""
    if mutant.kind not in {"constraint", "required"}:
        return None
    table, name = mutant.name.split(" ", 1)[1].split(".", 1)
    column = name.removeprefix(f"{table}_").removesuffix("_fkey")
    for node in nodes:
        said = node.split("::", 1)[-1]
        if mutant.kind == "required":
            fits = "required" in said and said.endswith(f".{table}]")
        else:
            fits = said.endswith((f"[{name}]", f"-{name}]")) or f".{table}.{column} >" in said
        if fits:
            return node
    return None


def is_named(mutant: Mutant, reason: str) -> bool:
    """Whether a test that names each offender on a line of its own, as a tuple, names this mutant's.

    Rights: `grant app.f(...)`, `grant app.orders`, `grant schema app`, `grant orders.notes to erp`.
    """
    said = mutant.name.removeprefix("grant ").removeprefix("schema ").split("(", 1)[0]
    said, _, role = said.partition(" to ")
    table, _, column = said.partition(".")
    wanted = [f".{table}'", f"'{column}'", f"'{role}'"] if role else [f"('{said}',"]
    lines = (line.removeprefix("E").strip() for line in reason.splitlines())
    return any(line[:1] == "(" and all(word in line for word in wanted) for line in lines)


def batches(own: dict[Mutant, str], size: int = 40) -> list[list[Mutant]]:
    """Mutants that can share a database: no two of one test, so that each failure tells whose it is."""
    waiting, made = list(own), []
    while waiting:
        batch: dict[str, Mutant] = {}
        for mutant in waiting:
            if len(batch) < size:
                batch.setdefault(own[mutant], mutant)
        made.append(list(batch.values()))
        taken = set(made[-1])
        waiting = [mutant for mutant in waiting if mutant not in taken]
    return made


def hints(mutant: Mutant, nodes: list[str]) -> list[str]:
    """The few single tests whose names speak of the mutant: they go before the files."""
    name = mutant.name.rsplit(" ", 1)[-1].rsplit(".", 1)[-1]
    table = mutant.name.split(" ", 1)[1].split(".", 1)[0]
    words = {word for word in re.split(r"[^a-z]+", mutant.name.lower()) if len(word) > 2} - _DULL
    scored = []
    for node in nodes:
        said = node.split("::", 1)[-1].lower()
        score = 5 * (f"[{name}" in said or f"-{name}]" in said) + 3 * (f".{table}]" in said)
        score += 4 * (
            f".{table}.{name} " in said or name.removesuffix("_fkey").removeprefix(f"{table}_") in said
        )
        score += sum(word in said or word.removesuffix("s") in said for word in words)
        if score >= _TELLING:
            scored.append((-score, node))
    return [node for _, node in sorted(scored)[:_HINTS]]


def files_of_tests() -> list[str]:
    """Every test file that a mutated database may concern, as the checkout's relative paths."""
    root = paths.root()
    found = (str(path.relative_to(root)) for path in sorted((root / "tests").rglob("test_*.py")))
    return [
        file for file in found if _folder(file) not in _OTHER and not Path(file).name.startswith(_OTHER_FILES)
    ]


def _folder(file: str) -> str:
    return Path(file).parts[1]
