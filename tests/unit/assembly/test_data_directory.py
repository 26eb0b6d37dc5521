"""The data directory: its owner's only, marked, and never another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from ohmesh.assembly.data_directory import DataDirectory, Shape, default_data_directory, open_to_others
from ohmesh.errors import EngineFailed, InvalidArgument


def test_it_is_made_for_its_owner_only_and_marked_once(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "deep" / "data", "mine")
    assert data.prepare(3, is_chosen=False) == Shape("mine", 3)
    assert not open_to_others(data.root)
    assert data.prepare(5, is_chosen=False) == Shape("mine", 3), "the first start decides"


def test_another_number_of_shards_that_was_asked_for_is_refused(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data", "mine")
    data.prepare(2, is_chosen=True)
    with pytest.raises(InvalidArgument, match="2 shard") as refused:
        data.prepare(4, is_chosen=True)
    assert "--shards 2" in str(refused.value.hint)
    assert data.prepare(2, is_chosen=True) == Shape("mine", 2), "to say what is there is no change"


def test_a_directory_with_other_things_in_it_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "photo.png").touch()
    with pytest.raises(InvalidArgument, match=r"photo\.png"):
        DataDirectory(tmp_path, "mine").prepare(1, is_chosen=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo.png"]


def test_a_directory_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir(mode=0o755)
    DataDirectory(root, "mine").prepare(1, is_chosen=False)
    assert not open_to_others(root)


def test_a_damaged_mark_is_named_with_what_it_should_say(tmp_path: Path) -> None:
    (tmp_path / "mesh.json").write_text("{")
    with pytest.raises(EngineFailed, match="should read"):
        DataDirectory(tmp_path, "mine").prepare(1, is_chosen=False)


def test_a_file_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineFailed, match="cannot be used"):
        DataDirectory(tmp_path / "file", "mine").prepare(1, is_chosen=False)


def test_the_data_of_a_mesh_of_this_machine_are_not_taken_for_one_at_a_url(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data", "mine")
    data.prepare(2, is_chosen=False)
    (data.root / "store").mkdir()
    with pytest.raises(InvalidArgument, match="of a mesh of this machine"):
        data.prepare(2, is_chosen=False, joins=True)
    assert data.prepare(2, is_chosen=False) == Shape("mine", 2)


def test_what_was_kept_of_a_mesh_elsewhere_becomes_no_mesh_of_this_machine(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data", "mine")
    data.prepare(2, is_chosen=False, joins=True)
    data.belong(Shape("mine", 2, "a1"))
    with pytest.raises(InvalidArgument, match="engine runs elsewhere"):
        data.prepare(2, is_chosen=False)
    assert data.prepare(2, is_chosen=False, joins=True) == Shape("mine", 2, "a1")


def test_a_mark_of_an_older_version_is_given_the_id_of_its_engine(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path, "mine")
    data.mark.write_text('{"mesh":"mine","shards":3}')
    assert data.prepare(2, is_chosen=False) == Shape("mine", 3)
    data.belong(Shape("mine", 3, "a1"))
    assert data.shape() == Shape("mine", 3, "a1")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("", "mine"),
        ("nats://10.0.0.5:4222", "mine@10.0.0.5-4222"),
        ("tls://user:secret@box.example", "mine@box.example-4222"),
        ("nats://b:1, nats://a:2", "mine@a-2+b-1"),
        ("nats://[::1]:7", "mine@-1-7"),
        ("nats://box:port", "mine@nats-box-port-4222"),
    ],
)
def test_each_url_has_a_directory_of_its_own_that_shows_no_secret(url: str, name: str) -> None:
    assert default_data_directory("mine", url).name == name
