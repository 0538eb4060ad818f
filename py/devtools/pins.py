"""`hub dev repin`: update the pinned hashes of sql/schema files before their first release."""

import re
import shutil
import subprocess
from pathlib import Path

from hub import paths
from hub.console import say
from hub.migrate import concurrently
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

_OUTSIDE = "__transactional__ = False\n"
_RELEASED = "released.txt"
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def run() -> None:
    """Pin the files of this checkout and print each change; raises MigrationError for a released one."""
    for line in repin(Tree(paths.sql_root(), paths.migrations_root())) or ["nothing to do"]:
        say(line)


def record_release(version: str) -> None:
    """Record this checkout's files as those of a release and print what is new; raises MigrationError."""
    added = release(Tree(paths.sql_root(), paths.migrations_root()), version)
    say(f"{len(added)} files of sql/schema belong to release {version}; commit migrations/{_RELEASED}")


def repin(tree: Tree) -> list[str]:
    """Pin every file of sql/schema as it is, creating the migration of a file that has none.

    Returns a line for each change. Raises MigrationError for an edited file that a release contains.
    """
    pinned = _pinned(tree)
    released = _released(tree)
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
        if tag := released.get(path.name) or _released_in(path):
            raise MigrationError(
                f"release {tag} contains this file", path=shown(path), hint="undo the edit and add a new file"
            )
        text = module.read_text().replace(old, digest)
        module.write_text(_with_transaction_mark(text, path))
        changes.append(f"{shown(module)} pins the new hash of {shown(path)}")
    return changes


def release(tree: Tree, version: str) -> list[str]:
    """Record the files of sql/schema as those of a release, so that `repin` refuses to touch them for ever.

    The record is a file of the repository, because a checkout may have no tags. Returns the names that are
    new in it. Raises MigrationError for a file that is not pinned as it is, and for a version that is none.
    """
    if not _VERSION.fullmatch(version):
        raise MigrationError(f"'{version}' is no version", hint="for example: ./hub dev release 1.0.0")
    pinned = _pinned(tree)
    for path in tree.schema_files():
        if path.name not in pinned or pinned[path.name][1] != sha256(path):
            raise MigrationError("the file is not pinned as it is", path=shown(path), hint="./hub dev repin")
    known = _released(tree)
    added = [path.name for path in tree.schema_files() if path.name not in known]
    with (tree.migrations / _RELEASED).open("a") as record:
        record.writelines(f"{version} {name}\n" for name in added)
    return added


def _pinned(tree: Tree) -> dict[str, tuple[Path, str]]:
    """The migration that applies a file, and the hash that it pins, by name."""
    return {
        match["name"]: (module, match["sha"])
        for module in sorted(tree.migrations.glob("*.py"))
        for match in PIN.finditer(module.read_text())
    }


def _released(tree: Tree) -> dict[str, str]:
    """The release that first contained each released file, as migrations/released.txt says."""
    record = tree.migrations / _RELEASED
    lines = record.read_text().splitlines() if record.exists() else []
    return {name: version for version, name in (line.split() for line in lines)}


def _with_transaction_mark(text: str, path: Path) -> str:
    """The module's text with, or without, `__transactional__ = False`, as the first line of the file says."""
    text = text.replace(_OUTSIDE, "")
    if concurrently.is_outside_transaction(path.read_text()):
        text = text.replace("\nsteps = [", f"{_OUTSIDE}\nsteps = [", 1)
    return text


def _new_module(tree: Tree, path: Path, digest: str) -> Path:
    """The migration of a new schema file: NN_name.sql becomes NNNN_name.py, after the one before it."""
    number, _, name = path.stem.partition("_")
    if not (number.isdigit() and name.isidentifier()):
        raise MigrationError("a schema file is named NN_name.sql", path=shown(path))
    module = tree.migrations / f"{int(number):04}_{name}.py"
    earlier = [other.stem for other in sorted(tree.migrations.glob("*.py")) if other.stem < module.stem]
    lines = path.read_text().splitlines() or [""]
    if concurrently.is_outside_transaction(path.read_text()) and len(lines) > 1:
        lines = lines[1:]
    first = lines[0].removeprefix("--").strip()
    module.parent.mkdir(exist_ok=True)
    text = _MODULE.format(
        title=first or name,
        annotation="" if earlier else ": set[str]",
        depends=f'{{"{earlier[-1]}"}}' if earlier else "set()",
        name=path.name,
        sha=digest,
    )
    module.write_text(_with_transaction_mark(text, path))
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
