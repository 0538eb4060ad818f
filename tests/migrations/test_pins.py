"""Pins: an edited schema file is detected, and `hub dev repin` updates its pin before a release."""

import os
import shutil
import subprocess
import sys

import pytest

from devtools.pins import release
from hub.migrate import MigrationError
from tests.migrations.conftest import FILES, Sample, query


def test_edited_schema_file_is_refused_until_it_is_pinned_again(sample: Sample, empty_database: str) -> None:
    sample.append("schema/10_more.sql", "\n-- edited\n")
    with pytest.raises(MigrationError, match=r"10_more\.sql: the file was edited after its hash was pinned"):
        sample.migrate(empty_database)
    assert query(empty_database, "select to_regclass('app.things')") == [(None,)]
    assert sample.repin() == [
        f"{sample.tree.migrations / '0010_more.py'} pins the new hash of {sample.tree.sql}/schema/10_more.sql"
    ]
    assert sample.migrate(empty_database).steps


def test_new_pin_is_read_despite_cached_bytecode(
    sample: Sample, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python compares the source's time in seconds and its size, and a new pin may change neither."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    sample.migrate(empty_database)
    module = sample.tree.migrations / "0010_more.py"
    before = module.stat()
    sample.append("schema/10_more.sql", "\n-- edited\n")
    sample.repin()
    os.utime(module, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(MigrationError, match="created from an earlier version"):
        sample.migrate(empty_database)


def test_database_created_from_an_earlier_version_is_refused(sample: Sample, empty_database: str) -> None:
    sample.migrate(empty_database)
    sample.append("schema/10_more.sql", "\n-- edited and pinned again\n")
    sample.repin()
    with pytest.raises(MigrationError, match="created from an earlier version"):
        sample.migrate(empty_database)


def test_schema_file_without_a_migration_is_refused_until_repin_adds_one(
    sample: Sample, empty_database: str
) -> None:
    sample.write("schema/20_new.sql", "create table app.new_one (id int);\n")
    with pytest.raises(MigrationError, match=r"20_new\.sql: no migration applies this file"):
        sample.migrate(empty_database)
    assert len(sample.repin()) == 1
    assert sample.migrate(empty_database).steps == ["0000_base", "0010_more", "0020_new"]


def test_repin_refuses_an_edited_file_of_a_release_without_git(sample: Sample) -> None:
    """As in an archive of the sources, or a clone without tags."""
    with pytest.raises(MigrationError, match="'v1' is no version"):
        release(sample.tree, "v1")
    assert release(sample.tree, "1.0.0") == ["00_base.sql", "10_more.sql"]
    sample.append("schema/10_more.sql", "\n-- edited after the release\n")
    with pytest.raises(MigrationError, match=r"release 1\.0\.0 contains this file"):
        sample.repin()
    with pytest.raises(MigrationError, match=r"10_more\.sql: the file is not pinned as it is"):
        release(sample.tree, "1.1.0")
    sample.write("schema/10_more.sql", FILES["schema/10_more.sql"])
    sample.write("schema/20_new.sql", "create table app.new_one (id int);\n")
    assert len(sample.repin()) == 1
    assert release(sample.tree, "1.1.0") == ["20_new.sql"]


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_repin_refuses_an_edited_file_of_a_release(sample: Sample) -> None:
    git = [
        "git",
        "-C",
        str(sample.tree.sql.parent),
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.invalid",
    ]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "release"], ["tag", "v1.0.0"]):
        subprocess.run([*git, *arguments], check=True)
    sample.append("schema/10_more.sql", "\n-- edited after the release\n")
    with pytest.raises(MigrationError, match=r"release v1\.0\.0 contains this file"):
        sample.repin()
    sample.write("schema/20_new.sql", "create table app.new_one (id int);\n")
    subprocess.run([*git, "checkout", "-q", "--", "sql/schema/10_more.sql"], check=True)
    assert len(sample.repin()) == 1
