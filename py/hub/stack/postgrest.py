"""Finding PostgREST: $POSTGREST_BIN, PATH, our cache, or the official release of a pinned version."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

VERSION = "14.17"
"""The release that is downloaded; HUB_POSTGREST_SHA256 pins the archive's digest for those who know it."""

_RELEASES = "https://github.com/PostgREST/postgrest/releases/download"
_ASSETS = {"x86_64": ("linux-static-x86-64",), "aarch64": ("ubuntu-aarch64", "linux-static-aarch64")}
_CONNECT_SECONDS = 3
_REMEMBER_SECONDS = 6 * 3600
_MINIMUM_MAJOR = 14


@dataclass(frozen=True)
class Found:
    """A PostgREST that runs here."""

    path: Path
    version: str


def find(cache: Path, *, insist: bool) -> tuple[Found | None, str]:
    """A PostgREST, or the reason why there is none. `insist` downloads even if that failed a while ago."""
    given = os.environ.get("POSTGREST_BIN")
    if given:
        return _usable(Path(given), f"POSTGREST_BIN={given}")
    if on_path := shutil.which("postgrest"):
        found, _ = _usable(Path(on_path), on_path)
        if found:
            return found, ""
    cached = cache / VERSION / "postgrest"
    if cached.exists():
        return _usable(cached, str(cached))
    failed = cache / VERSION / "download-failed"
    if not insist and failed.exists() and time.time() - failed.stat().st_mtime < _REMEMBER_SECONDS:
        return None, failed.read_text().strip()
    cached.parent.mkdir(parents=True, exist_ok=True)
    why_not = _download(cached)
    if why_not:
        failed.write_text(why_not + "\n")
        return None, why_not
    failed.unlink(missing_ok=True)
    return _usable(cached, str(cached))


def _usable(path: Path, what: str) -> tuple[Found | None, str]:
    """Ask the program for its version: a build for another machine, or an old one, is found out here."""
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"{what} does not run: {error}"
    version = re.search(r"(\d+)\.[\d.]*\d", asked.stdout)
    if asked.returncode or not version:
        said = (asked.stderr or asked.stdout).strip().split("\n")[0]
        return None, f"{what} does not run as PostgREST does: {said or f'exit code {asked.returncode}'}"
    if int(version[1]) < _MINIMUM_MAJOR:
        return None, f"{what} is PostgREST {version[0]}; {_MINIMUM_MAJOR} or newer is needed"
    return Found(path, version[0]), ""


def _download(target: Path) -> str:
    """Fetch the release and unpack it to `target`; returns why that failed, or an empty text."""
    assets = _ASSETS.get(platform.machine())
    if not assets:
        return f"no official release for {platform.machine()}"
    why_not = ""
    for asset in assets:
        url = f"{_RELEASES}/v{VERSION}/postgrest-v{VERSION}-{asset}.tar.xz"
        archive = target.with_name(f"{asset}.tar.xz")
        try:
            _fetch(url, archive)
            _unpack(archive, target)
        except (httpx.HTTPError, OSError, tarfile.TarError, ValueError, KeyError) as error:
            why_not = f"the release {VERSION} could not be fetched: {error or type(error).__name__}"
        else:
            return ""
        finally:
            archive.unlink(missing_ok=True)
        if "404" not in why_not:
            break
    return why_not


def _fetch(url: str, archive: Path) -> None:
    timeout = httpx.Timeout(60, connect=_CONNECT_SECONDS)
    digest = hashlib.sha256()
    with (
        httpx.stream("GET", url, follow_redirects=True, timeout=timeout) as answer,
        archive.open("wb") as out,
    ):
        if answer.status_code != 200:
            raise ValueError(f"HTTP {answer.status_code}")
        for chunk in answer.iter_bytes():
            digest.update(chunk)
            out.write(chunk)
    wanted = os.environ.get("HUB_POSTGREST_SHA256")
    if wanted and digest.hexdigest() != wanted.lower():
        raise ValueError(f"its SHA-256 is {digest.hexdigest()}, HUB_POSTGREST_SHA256 says {wanted}")


def _unpack(archive: Path, target: Path) -> None:
    """Take the one program out of the archive, and put it in place only when it is whole."""
    making = target.with_name("postgrest.making")
    with tarfile.open(archive) as tar:
        source = tar.extractfile("postgrest")
        if source is None:
            raise ValueError("the archive holds no program")
        with making.open("wb") as out:
            shutil.copyfileobj(source, out)
    making.chmod(0o755)
    making.replace(target)
