"""Addresses: parsed once, shown without secrets."""

from __future__ import annotations

import pytest

from ohmesh.engines.ledger.address import parse_address
from ohmesh.errors import InvalidArgument

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "scheme", "shown"),
    [
        ("sqlite:///history.db", "sqlite", "sqlite:///history.db"),
        ("sqlite:////var/lib/history.db", "sqlite", "sqlite:////var/lib/history.db"),
        ("postgresql://anna@db/history", "postgresql", "postgresql://anna@db/history"),
        (f"postgres://anna:{SECRET}@db:5433/history", "postgresql", "postgresql://anna:***@db:5433/history"),
        (f"postgresql+psycopg://a:{SECRET}@[::1]/h", "postgresql", "postgresql://a:***@[::1]/h"),
        (f"postgresql:///h?host=/run/pg&password={SECRET}", "postgresql", "postgresql:///h"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, scheme: str, shown: str) -> None:
    address = parse_address(url)
    assert (address.scheme, address.shown) == (scheme, shown)
    assert SECRET not in repr(address)


@pytest.mark.parametrize("place", [f"anna:{SECRET}@db", f"anna@db/history?password={SECRET}"])
def test_what_a_library_says_is_scrubbed(place: str) -> None:
    address = parse_address(f"postgresql://{place}")
    assert SECRET not in address.scrubbed(f"cannot log in as anna with {SECRET}")


def test_an_encoded_password_reaches_the_server_decoded() -> None:
    assert parse_address("postgresql://anna:p%40ss%2Fword@db/history").url.password == "p@ss/word"


@pytest.mark.parametrize("url", ["", "history.db", "oracle://db", "sqlite://", "postgresql://a:p@q@db/h"])
def test_what_is_no_address_is_refused_with_the_forms_that_are(url: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_address(url)
    assert caught.value.hint
