"""`hub dev repin`: update the pinned hashes of sql/schema files before their first release."""

import shutil
import subprocess
from pathlib import Path

from hub import paths
from hub.console import say
from hub.migrate.errors import MigrationError
from hub.migrate.steps import PIN
from hub.migrate.tree import Tree, sha256, shown

_MODULE = '''"""{title}"""

from hub.migrate.steps import schema_file

__depends__{annotation} = {depends}

steps = [
    schema_file(
        "{name}",
        sha256="{sha}",
    ),
]
'''


def run() -> None:
    """Pin the files of this checkout and print each change; raises MigrationError for a released one."""
    for line in repin(Tree(paths.sql_root(), paths.migrations_root())) or ["nothing to do"]:
        say(line)


def repin(tree: Tree) -> list[str]:
    """Pin every file of sql/schema as it is, creating the migration of a file that has none.

    Returns a line for each change. Raises MigrationError for an edited file that a release contains.
    """
    modules = sorted(tree.migrations.glob("*.py"))
    pinned = {
        match["name"]: (module, match["sha"])
        for module in modules
        for match in PIN.finditer(module.read_text())
    }
    changes = []
    for path in tree.schema_files():
        digest = sha256(path)
        if path.name not in pinned:
            module = _new_module(tree, path, digest)
            changes.append(f"{shown(module)} created for {shown(path)}")
            continue
        module, old = pinned[path.name]
        if old == digest:
            continue
        if tag := _released_in(path):
            raise MigrationError(
                f"release {tag} contains this file", path=shown(path), hint="undo the edit and add a new file"
            )
        text = module.read_text()
        module.write_text(text.replace(old, digest))
        changes.append(f"{shown(module)} pins the new hash of {shown(path)}")
    return changes


def _new_module(tree: Tree, path: Path, digest: str) -> Path:
    """The migration of a new schema file: NN_name.sql becomes NNNN_name.py, after the one before it."""
    number, _, name = path.stem.partition("_")
    if not (number.isdigit() and name.isidentifier()):
        raise MigrationError("a schema file is named NN_name.sql", path=shown(path))
    module = tree.migrations / f"{int(number):04}_{name}.py"
    earlier = [other.stem for other in sorted(tree.migrations.glob("*.py")) if other.stem < module.stem]
    first = path.read_text().split("\n", 1)[0].removeprefix("--").strip()
    module.parent.mkdir(exist_ok=True)
    module.write_text(
        _MODULE.format(
            title=first or name,
            annotation="" if earlier else ": set[str]",
            depends=f'{{"{earlier[-1]}"}}' if earlier else "set()",
            name=path.name,
            sha=digest,
        )
    )
    return module


def _released_in(path: Path) -> str:
    """The first release tag that contains the file; empty if there is none, or no git."""
    folder = path.resolve().parent
    if not shutil.which("git"):
        return ""
    git = ["git", "-C", str(folder)]
    listed = subprocess.run([*git, "tag", "--list", "v*"], capture_output=True, text=True, check=False)
    for tag in listed.stdout.split() if listed.returncode == 0 else []:
        if (
            subprocess.run(
                [*git, "cat-file", "-e", f"{tag}:./{path.name}"], capture_output=True, check=False
            ).returncode
            == 0
        ):
            return tag
    return ""
