"""Finds PostgREST: POSTGREST_BIN, PATH, the cache, or the official release of a pinned version."""

import hashlib
import platform
import re
import shutil
import subprocess
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from hub.environment import Locations

VERSION = "14.17"
"""The release that is downloaded; HUB_POSTGREST_SHA256 may set the expected digest of the archive."""

_RELEASES = "https://github.com/PostgREST/postgrest/releases/download"
_ASSETS = {"x86_64": ("linux-static-x86-64",), "aarch64": ("ubuntu-aarch64", "linux-static-aarch64")}
_CONNECT_SECONDS = 3
_RETRY_SECONDS = 6 * 3600
_MINIMUM_MAJOR = 14


@dataclass(frozen=True)
class Found:
    """A PostgREST that runs on this machine."""

    path: Path
    version: str


def find(cache: Path, *, insist: bool) -> tuple[Found | None, str]:
    """Find PostgREST; returns it, or None and the reason.

    `insist` retries a download that failed recently.
    """
    given = Locations().postgrest_bin
    if given:
        return _usable(given, f"POSTGREST_BIN={given}")
    if on_path := shutil.which("postgrest"):
        found, _ = _usable(Path(on_path), on_path)
        if found:
            return found, ""
    cached = cache / VERSION / "postgrest"
    if cached.exists():
        return _usable(cached, str(cached))
    return _downloaded(cached, insist=insist)


def _downloaded(cached: Path, *, insist: bool) -> tuple[Found | None, str]:
    """Download PostgREST to `cached`; as `find`."""
    failed = cached.with_name("download-failed")
    if not insist and failed.exists() and time.time() - failed.stat().st_mtime < _RETRY_SECONDS:
        return None, failed.read_text().strip()
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # in an image or an installation, the checkout is read-only
        return None, f"it cannot be stored: {error}"
    if why_not := _download(cached):
        failed.write_text(why_not + "\n")
        return None, why_not
    failed.unlink(missing_ok=True)
    return _usable(cached, str(cached))


def _usable(path: Path, what: str) -> tuple[Found | None, str]:
    """Run `--version`, which detects a build for another machine and an old version."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"{what} does not run: {error}"
    version = re.search(r"(\d+)\.[\d.]*\d", answer.stdout)
    if answer.returncode or not version:
        output = (answer.stderr or answer.stdout).strip().split("\n")[0]
        return None, f"{what} does not run as PostgREST: {output or f'exit code {answer.returncode}'}"
    if int(version[1]) < _MINIMUM_MAJOR:
        return None, f"{what} is PostgREST {version[0]}; {_MINIMUM_MAJOR} or newer is needed"
    return Found(path, version[0]), ""


def _download(target: Path) -> str:
    """Download the release and unpack it to `target`; returns the reason of a failure, or ''."""
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
            why_not = f"the release {VERSION} could not be downloaded: {error or type(error).__name__}"
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
        httpx.stream("GET", url, follow_redirects=True, timeout=timeout) as response,
        archive.open("wb") as out,
    ):
        if response.status_code != 200:
            raise ValueError(f"HTTP {response.status_code}")
        for chunk in response.iter_bytes():
            digest.update(chunk)
            out.write(chunk)
    expected = Locations().postgrest_sha256
    if expected and digest.hexdigest() != expected.lower():
        raise ValueError(f"its SHA-256 is {digest.hexdigest()}, but HUB_POSTGREST_SHA256 is {expected}")


def _unpack(archive: Path, target: Path) -> None:
    """Extract the program, and rename it to `target` once it is complete."""
    making = target.with_name("postgrest.making")
    with tarfile.open(archive) as tar:
        source = tar.extractfile("postgrest")
        if source is None:
            raise ValueError("the archive contains no program")
        with making.open("wb") as out:
            shutil.copyfileobj(source, out)
    making.chmod(0o755)
    making.replace(target)
