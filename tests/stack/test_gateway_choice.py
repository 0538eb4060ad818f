"""The choice of the gateway: PostgREST where it is available, otherwise the stand-in."""

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


def _program(path: Path, output: str, code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{output}'\nexit {code}\n")
    path.chmod(0o755)
    return path


def test_program_named_by_the_environment_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGREST_BIN", str(_program(tmp_path / "mine", "PostgREST 16.2")))
    chosen = gateway.choose("auto", tmp_path / "cache")
    assert (chosen.kind, chosen.command) == ("postgrest", (str(tmp_path / "mine"),))
    assert "PostgREST 16.2" in chosen.banner


def test_program_on_path_precedes_the_cached_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = _program(tmp_path / "cache" / postgrest.VERSION / "postgrest", f"PostgREST {postgrest.VERSION}")
    assert gateway.choose("auto", tmp_path / "cache").command == (str(cached),)
    on_path = _program(tmp_path / "bin" / "postgrest", "PostgREST 15.0")
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert gateway.choose("auto", tmp_path / "cache").command == (str(on_path),)


@pytest.mark.parametrize(
    ("output", "code", "reason"),
    [
        ("PostgREST 12.2.3", 0, "14 or newer is needed"),
        ("exec format error", 1, "does not run"),
        ("hi", 0, "does not run"),
    ],
)
def test_unusable_program_is_replaced_by_the_standin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, code: int, reason: str
) -> None:
    monkeypatch.setenv("POSTGREST_BIN", str(_program(tmp_path / "mine", output, code)))
    chosen = gateway.choose("auto", tmp_path / "cache")
    assert chosen.kind == "standin"
    assert reason in chosen.banner
    with pytest.raises(UserError, match=reason):
        gateway.choose("postgrest", tmp_path / "cache")


def test_failed_download_leads_to_the_standin_and_is_not_retried_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = gateway.choose("auto", tmp_path)
    assert chosen.kind == "standin"
    assert "STAND-IN" in chosen.banner
    assert "not for production" in chosen.banner

    def unexpected_request(*_: object, **__: object) -> None:
        raise AssertionError("unexpected request")

    monkeypatch.setattr("httpx.stream", unexpected_request)
    assert gateway.choose("auto", tmp_path).kind == "standin"
    failed = tmp_path / postgrest.VERSION / "download-failed"
    long_ago = time.time() - 7 * 3600
    os.utime(failed, (long_ago, long_ago))
    with pytest.raises(AssertionError, match="unexpected request"):
        gateway.choose("auto", tmp_path)


def test_cache_that_cannot_be_written_leads_to_the_standin(tmp_path: Path) -> None:
    occupied = tmp_path / "cache"
    occupied.touch()
    chosen = gateway.choose("auto", occupied)
    assert chosen.kind == "standin"
    assert "it cannot be stored" in chosen.banner


def test_required_postgrest_that_is_unavailable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="PostgREST is not available") as caught:
        gateway.choose("postgrest", tmp_path)
    assert "POSTGREST_BIN" in caught.value.hint


def test_standin_can_be_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGREST_BIN", str(_program(tmp_path / "mine", "PostgREST 16.2")))
    assert gateway.choose("standin", tmp_path).kind == "standin"


class _Release:
    """A response of httpx.stream with an archive that contains a working program."""

    status_code = 200

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __enter__(self) -> "_Release":
        return self

    def __exit__(self, *_: object) -> None: ...

    def iter_bytes(self) -> list[bytes]:
        return [self.content]


@pytest.mark.parametrize("digest", ["right", "wrong", ""])
def test_downloaded_release_is_verified_and_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digest: str
) -> None:
    program = f"#!/bin/sh\necho 'PostgREST {postgrest.VERSION}'\n".encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as tar:
        entry = tarfile.TarInfo("postgrest")
        entry.size = len(program)
        tar.addfile(entry, io.BytesIO(program))
    content = buffer.getvalue()
    requested = []

    def release(_method: str, url: str, **_: object) -> _Release:
        requested.append(url)
        return _Release(content)

    monkeypatch.setattr("httpx.stream", release)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    if digest:
        expected = hashlib.sha256(content).hexdigest() if digest == "right" else "0" * 64
        monkeypatch.setenv("HUB_POSTGREST_SHA256", expected)
    chosen = gateway.choose("auto", tmp_path)
    assert requested == [
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
