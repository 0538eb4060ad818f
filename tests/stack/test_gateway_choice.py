"""PostgREST wherever it is to be had, else the stand-in, and a banner that says which."""

import hashlib
import io
import os
import tarfile
import time
from pathlib import Path

import httpx
import pytest

from hub.errors import UserError
from hub.stack import gateway, postgrest


@pytest.fixture(autouse=True)
def _closed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTGREST_BIN", raising=False)
    monkeypatch.delenv("HUB_POSTGREST_SHA256", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")

    def refused(*_: object, **__: object) -> None:
        raise httpx.ConnectError("no network here")

    monkeypatch.setattr("httpx.stream", refused)


def _program(path: Path, says: str, code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    path.chmod(0o755)
    return path


def test_the_named_program_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGREST_BIN", str(_program(tmp_path / "mine", "PostgREST 16.2")))
    chosen = gateway.choose("auto", tmp_path / "cache")
    assert (chosen.kind, chosen.command) == ("postgrest", (str(tmp_path / "mine"),))
    assert "PostgREST 16.2" in chosen.banner


def test_then_the_one_on_the_path_then_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = _program(tmp_path / "cache" / postgrest.VERSION / "postgrest", f"PostgREST {postgrest.VERSION}")
    assert gateway.choose("auto", tmp_path / "cache").command == (str(cached),)
    on_path = _program(tmp_path / "bin" / "postgrest", "PostgREST 15.0")
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert gateway.choose("auto", tmp_path / "cache").command == (str(on_path),)


@pytest.mark.parametrize(
    ("says", "code", "why"),
    [
        ("PostgREST 12.2.3", 0, "14 or newer is needed"),
        ("exec format error", 1, "does not run"),
        ("hi", 0, "does not run"),
    ],
)
def test_an_unfit_program_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, code: int, why: str
) -> None:
    monkeypatch.setenv("POSTGREST_BIN", str(_program(tmp_path / "mine", says, code)))
    chosen = gateway.choose("auto", tmp_path / "cache")
    assert chosen.kind == "standin"
    assert why in chosen.banner
    with pytest.raises(UserError, match=why):
        gateway.choose("postgrest", tmp_path / "cache")


def test_a_closed_network_means_the_stand_in_and_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = gateway.choose("auto", tmp_path)
    assert chosen.kind == "standin"
    assert "STAND-IN" in chosen.banner
    assert "not for production" in chosen.banner

    def must_not_ask(*_: object, **__: object) -> None:
        raise AssertionError("asked the network again")

    monkeypatch.setattr("httpx.stream", must_not_ask)
    assert gateway.choose("auto", tmp_path).kind == "standin"
    failed = tmp_path / postgrest.VERSION / "download-failed"
    long_ago = time.time() - 7 * 3600
    os.utime(failed, (long_ago, long_ago))
    with pytest.raises(AssertionError, match="asked the network again"):
        gateway.choose("auto", tmp_path)


def test_demanded_but_not_to_be_had_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="PostgREST is not to be had") as caught:
        gateway.choose("postgrest", tmp_path)
    assert "POSTGREST_BIN" in caught.value.hint


def test_the_stand_in_can_be_demanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGREST_BIN", str(_program(tmp_path / "mine", "PostgREST 16.2")))
    assert gateway.choose("standin", tmp_path).kind == "standin"


class _Release:
    """What httpx.stream gives: an archive with a program that runs."""

    status_code = 200

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __enter__(self) -> "_Release":
        return self

    def __exit__(self, *_: object) -> None: ...

    def iter_bytes(self) -> list[bytes]:
        return [self.content]


@pytest.mark.parametrize("digest", ["right", "wrong", ""])
def test_a_release_is_verified_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digest: str) -> None:
    program = f"#!/bin/sh\necho 'PostgREST {postgrest.VERSION}'\n".encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as tar:
        entry = tarfile.TarInfo("postgrest")
        entry.size = len(program)
        tar.addfile(entry, io.BytesIO(program))
    content = buffer.getvalue()
    asked = []

    def release(_method: str, url: str, **_: object) -> _Release:
        asked.append(url)
        return _Release(content)

    monkeypatch.setattr("httpx.stream", release)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    if digest:
        known = hashlib.sha256(content).hexdigest() if digest == "right" else "0" * 64
        monkeypatch.setenv("HUB_POSTGREST_SHA256", known)
    chosen = gateway.choose("auto", tmp_path)
    assert asked == [
        f"{postgrest._RELEASES}/v{postgrest.VERSION}/postgrest-v{postgrest.VERSION}-linux-static-x86-64.tar.xz"
    ]
    cached = tmp_path / postgrest.VERSION / "postgrest"
    if digest == "wrong":
        assert chosen.kind == "standin"
        assert "SHA-256" in chosen.banner
        assert not cached.exists()
    else:
        assert chosen.command == (str(cached),)
        assert [path.name for path in cached.parent.iterdir()] == ["postgrest"]
