"""Who gets in: whoever has the mesh's key, nobody else, and from this machine only."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nkeys
import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.integration.running_mesh import COMMAND_S, RunningMesh, environment, running_mesh

NOT_AUTHORISED = 7


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(tmp_path_factory.mktemp("keys")) as mesh:
        mesh.up()
        yield mesh


def strange_seed(path: Path) -> Path:
    path.write_bytes(bytes(nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER)))
    path.chmod(0o600)
    return path


def url_of(mesh: RunningMesh) -> str:
    return f"nats://127.0.0.1:{(mesh.data / 'port').read_text().strip()}"


def check_refused(code: int, talk: str, *words: str) -> None:
    assert code == NOT_AUTHORISED, talk
    assert "Traceback" not in talk
    assert talk.count("\n") == 1, talk
    assert all(word in talk for word in words), talk


def ask_with(mesh: RunningMesh, seed: Path | None, *verb: str) -> tuple[int, str]:
    """A command that is told where the mesh is and which key to use, and reads none of its files."""
    settings = {"OHMESH_URL": url_of(mesh), "OHMESH_DATA": str(mesh.folder / "elsewhere")}
    if seed is not None:
        settings["OHMESH_ENGINE_SEED_FILE"] = str(seed)
    ran = subprocess.run(
        [sys.executable, "-m", "ohmesh", *verb],
        capture_output=True,
        text=True,
        cwd=mesh.folder,
        env={**environment(), **settings},
        timeout=COMMAND_S,
    )
    return ran.returncode, ran.stderr


@pytest.mark.parametrize("verb", [("status",), ("submit", "text", "hello"), ("worker", "napping")])
def test_a_strange_key_is_refused(mesh: RunningMesh, tmp_path: Path, verb: tuple[str, ...]) -> None:
    seed = strange_seed(tmp_path / "strange.seed")
    check_refused(*ask_with(mesh, seed, *verb), "refused our credentials", "seed file")


def test_no_key_at_all_is_refused(mesh: RunningMesh) -> None:
    check_refused(*ask_with(mesh, None, "status"), "refused our credentials")


def test_a_key_that_is_not_there_is_named(mesh: RunningMesh, tmp_path: Path) -> None:
    missing = tmp_path / "missing.seed"
    check_refused(*ask_with(mesh, missing, "status"), str(missing))


def test_a_file_that_holds_no_key_is_named(mesh: RunningMesh, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear sir,")
    (tmp_path / "letter.txt").chmod(0o600)
    check_refused(*ask_with(mesh, tmp_path / "letter.txt", "status"), "letter.txt holds no NKey seed")


def test_whoever_says_nothing_of_a_key_hears_nothing(mesh: RunningMesh) -> None:
    """Spoken by hand, without a client that would be polite about it."""
    port = int(url_of(mesh).rpartition(":")[2])

    async def said() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b'CONNECT {"verbose":false}\r\nSUB mesh.> 1\r\nPUB mesh.default.d.0 2\r\nhi\r\nPING\r\n')
        answer = await reader.read()
        writer.close()
        return answer

    answer = asyncio.run(asyncio.wait_for(said(), 10))
    assert b"Authorization Violation" in answer
    assert b"PONG" not in answer
    assert b"MSG" not in answer


def test_nothing_listens_beyond_this_machine(mesh: RunningMesh) -> None:
    listening = {
        (connection.laddr.ip, process.name())
        for process in [mesh.programs[0].process, *mesh.programs[0].children()]
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    }
    assert {address for address, _ in listening} == {"127.0.0.1"}, listening
    assert len(listening) == 1, "the engine, and nobody else"


def test_a_key_that_others_may_read_is_refused_to_clients(mesh: RunningMesh, tmp_path: Path) -> None:
    copy = tmp_path / "copy.seed"
    copy.write_bytes((mesh.data / "nats.seed").read_bytes())
    copy.chmod(0o644)
    check_refused(*ask_with(mesh, copy, "status"), f"chmod 600 {copy}")
    copy.chmod(0o600)
    assert ask_with(mesh, copy, "status") == (0, "")


def test_a_key_that_others_may_read_is_closed_by_its_owner_who_says_so(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0").end()
        seed = mesh.data / "nats.seed"
        seed.chmod(0o644)
        again = mesh.up("--workers", "0")
        assert seed.stat().st_mode & 0o777 == 0o600
        assert f"{seed} was open to other users" in again.said
