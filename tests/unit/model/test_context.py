"""Names of contexts: the same entries, the same name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.context import (
    MAX_CONTEXT_BYTES,
    decode_content,
    encode_content,
    mark_of,
    mark_text,
    version_of,
)

entries = st.dictionaries(st.text(min_size=1, max_size=20), st.binary(max_size=20), max_size=8)


@given(entries)
def test_entries_come_back_and_their_order_does_not_matter(given_entries: dict[str, bytes]) -> None:
    backwards = dict(reversed(given_entries.items()))
    content = encode_content(given_entries)
    assert content == encode_content(backwards)
    assert decode_content(content) == given_entries


def test_a_version_is_named_by_its_content_and_its_past() -> None:
    content = encode_content({"goal": b"ship"})
    first = version_of(content)
    assert first.hash == version_of(content).hash
    assert first.hash.hex() == "c6d3b7c54d647e3e0724c662e28d8fe747f7b231691dd359b2f5d6910e8a9517"
    second = version_of(content, first.hash)
    assert second.hash != first.hash
    other = version_of(encode_content({}), first.hash)
    assert version_of(content, second.hash, other.hash) == version_of(content, other.hash, second.hash)


def test_a_mark_is_shown_as_the_first_eight_bytes() -> None:
    name = bytes(range(1, 33))
    assert mark_text(mark_of(name)) == "0102030405060708"
    assert mark_of(b"") == 0
    assert mark_text(0) == ""


@pytest.mark.parametrize(
    "wrong",
    [b"", b"\xc1", b"\x92\x92\xa1b\xc4\x011\x92\xa1a\xc4\x011", b"\x92\x92\xa1a\xc4\x011\x92\xa1a\xc4\x011"],
)
def test_what_is_no_content_is_refused(wrong: bytes) -> None:
    with pytest.raises(InvalidArgument):
        decode_content(wrong)


def test_a_context_is_bounded() -> None:
    with pytest.raises(InvalidArgument, match="at most"):
        encode_content({"large": bytes(MAX_CONTEXT_BYTES)})
