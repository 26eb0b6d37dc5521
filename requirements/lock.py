"""Pins every dependency with its hashes: `make lock` writes build.txt, base.txt and dev.txt beside this file.

pip resolves, in the interpreter of the running environment, and its index client lists the files of each pinned
version, so this follows whatever index the machine is configured for. Invariants of what is written:

* a line names a version and hashes, never an address: the same files install from any index or mirror;
* hashes cover wheels of every supported Python on Linux (x86-64, ARM64), macOS and Windows, and the source
  distribution only where there is no wheel for all of them;
* base.txt is what a user gets; dev.txt adds to it and repeats nothing; build.txt is what builds from source need.

Conditions on the platform are copied from pyproject.toml; what a dependency of a dependency needs on another platform
only (colorama on Windows) is not pinned.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

from pip._internal.commands.download import DownloadCommand
from pip._internal.index.collector import parse_links
from pip._internal.models.candidate import InstallationCandidate
from pip._internal.models.link import Link

HERE = Path(__file__).resolve().parent
PYTHONS = ("py3", "py2.py3", "cp311", "cp312", "cp313", "cp314")
PLATFORMS = re.compile(r"any|(manylinux|musllinux)\w*_(x86_64|aarch64)|macosx_\w+|win_amd64")

Pin = tuple[str, str]


def main() -> None:
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())
    base = project["project"]["dependencies"]
    groups = project["dependency-groups"]
    everything = resolve([*base, *groups["build"], *groups["dev"]])
    pinned = [f"{name}=={version}" for name, version in everything]
    base_pins = keep(everything, resolve(base, constraints=pinned))
    build_pins = keep(everything, resolve(groups["build"], constraints=pinned))
    dev_pins = [pin for pin in everything if pin not in base_pins]
    markers = conditions([*base, *groups["build"], *groups["dev"]])
    lines = {pin: requirement(pin, links, markers) for pin, links in list_files(everything).items()}
    write("build.txt", "what builds from source need", [lines[pin] for pin in build_pins])
    write("base.txt", "what a user gets", [lines[pin] for pin in base_pins])
    write("dev.txt", "what the tests and checks add", ["-r base.txt", *(lines[pin] for pin in dev_pins)])


def resolve(wanted: list[str], *, constraints: Iterable[str] = ()) -> list[Pin]:
    """Names and versions that satisfy `wanted`, dependencies included, by name."""
    with tempfile.TemporaryDirectory() as folder:
        limits = Path(folder, "constraints.txt")
        limits.write_text("\n".join(constraints))
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        command += ["--report", str(report), "--constraint", str(limits), *wanted]
        subprocess.run(command, check=True)
        installs = json.loads(report.read_text())["install"]
    pins = [(item["metadata"]["name"], item["metadata"]["version"]) for item in installs]
    return sorted(pins, key=lambda pin: canonical(pin[0]))


def keep(everything: list[Pin], some: list[Pin]) -> list[Pin]:
    names = {canonical(name) for name, _ in some}
    return [pin for pin in everything if canonical(pin[0]) in names]


def conditions(wanted: list[str]) -> dict[str, str]:
    """Canonical name to environment marker, for requirements that carry one."""
    found = {}
    for line in wanted:
        name = re.match(r"[A-Za-z0-9._-]+", line)
        if ";" in line and name is not None:
            found[canonical(name.group())] = line.split(";", 1)[1].strip()
    return found


def list_files(pins: list[Pin]) -> dict[Pin, list[Link]]:
    """Every file the index offers for the pinned versions; one request for each name."""
    command = DownloadCommand("download", "list the files of the pinned versions")
    options, _ = command.parse_args(["unused"])
    found: dict[Pin, list[Link]] = {}
    with command.main_context():
        session = command.get_default_session(options)
        collector = command._build_package_finder(options, session)._link_collector
        for name, version in pins:
            links: list[Link] = []

            def collect(page: Link, links: list[Link] = links) -> list[InstallationCandidate]:
                answer = collector.fetch_response(page)
                links.extend(parse_links(answer) if answer else ())
                return []

            sources = collector.collect_sources(canonical(name), collect)
            for source in [*sources.find_links, *sources.index_urls]:
                if source is not None:
                    list(source.page_candidates())
            found[name, version] = [link for link in links if is_version(link.filename, version)]
    return found


def requirement(pin: Pin, links: list[Link], markers: dict[str, str]) -> str:
    """One entry of a requirements file: name, version, condition, hashes."""
    name, version = canonical(pin[0]), pin[1]
    hashes = wanted_hashes(links)
    if not hashes:
        raise SystemExit(f"no installable file of {name} {version} with a SHA-256 was found")
    condition = f" ; {markers[name]}" if name in markers else ""
    return " \\\n".join(
        [f"{name}=={version}{condition}", *(f"    --hash=sha256:{digest}" for digest in hashes)]
    )


def write(file: str, purpose: str, entries: list[str]) -> None:
    (HERE / file).write_text("\n".join([f"# {purpose}; written by `make lock`", *entries]) + "\n")


def wanted_hashes(links: list[Link]) -> list[str]:
    """Hashes of the wheels that matter, and of the source where wheels do not cover every machine."""
    wheels = {link.filename: link.hash for link in links if link.filename.endswith(".whl")}
    chosen = {name: digest for name, digest in wheels.items() if is_wanted(name)}
    if not any(name.endswith("-none-any.whl") for name in chosen):
        sources = {link.filename: link.hash for link in links if link.filename.endswith(".tar.gz")}
        chosen |= sources
    return sorted(digest for digest in chosen.values() if digest)


def is_wanted(wheel: str) -> bool:
    *_, python, abi, platforms = wheel.removesuffix(".whl").split("-")
    fits = (python in PYTHONS and not re.fullmatch(r"cp3\d+t", abi)) or abi == "abi3"
    return fits and any(PLATFORMS.fullmatch(platform) for platform in platforms.split("."))


def is_version(file: str, version: str) -> bool:
    stem = file.removesuffix(".whl").removesuffix(".tar.gz")
    return f"-{version}-" in f"{stem}-"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
