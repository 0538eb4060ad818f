"""The layout: one name for a domain in every layer, the product apart from tools and tests."""

import ast
from pathlib import Path

import pytest

from hub import paths

DOMAINS = {
    "agents",
    "audit",
    "auth",
    "catalog",
    "config",
    "consistency",
    "erp",
    "inventory",
    "invoices",
    "loyalty",
    "messaging",
    "orders",
    "partners",
    "pricing",
    "regions",
    "service_level",
    "shadow",
    "statistics",
    "subdistributors",
}

FORBIDDEN_IMPORTS = {
    "py/hub": {"devtools", "tests"},
    "py/adapters": {"hub", "devtools", "tests"},
    "py/standin": {"hub", "adapters", "devtools", "tests"},
}


def is_domain_file(name: str) -> bool:
    """Whether a file is named after a domain, or after what all domains share; a part may follow."""
    return any(name == domain or name.startswith(f"{domain}_") for domain in DOMAINS | {"_shared"})


@pytest.mark.parametrize("folder", ["functions", "policies", "api"])
def test_each_sql_file_bears_the_name_of_a_domain(folder: str) -> None:
    files = sorted((paths.sql_root() / folder).glob("*"))
    assert files
    assert [file.name for file in files if file.suffix != ".sql" or not is_domain_file(file.stem)] == []


def test_no_line_of_sql_exceeds_100_columns() -> None:
    """sqlfluff enforces it too, but does not look into the bodies of functions."""
    long_lines = [
        f"{file.relative_to(paths.root())}:{number}"
        for file in sorted(paths.sql_root().rglob("*.sql"))
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if len(line) > 100
    ]
    assert long_lines == []


def test_each_folder_of_domain_tests_bears_the_name_of_a_domain() -> None:
    folders = [path for path in (paths.root() / "tests" / "domain").iterdir() if path.is_dir()]
    assert [path.name for path in folders if path.name not in DOMAINS | {"__pycache__"}] == []


def imported_packages(file: Path) -> set[str]:
    """Top-level packages that a module imports, wherever in it the import is."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("folder", FORBIDDEN_IMPORTS)
def test_a_package_imports_only_what_its_layer_may(folder: str) -> None:
    files = sorted((paths.root() / folder).rglob("*.py"))
    assert files
    offenders = [
        f"{file.relative_to(paths.root())}: {', '.join(sorted(found))}"
        for file in files
        if (found := imported_packages(file) & FORBIDDEN_IMPORTS[folder])
    ]
    assert offenders == []
