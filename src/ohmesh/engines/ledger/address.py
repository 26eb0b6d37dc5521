"""The URL of a ledger: parsed once, and never shown with what is secret in it.

Invariant: `shown` holds scheme, user, host, port and database or path, nothing else; `scrubbed` removes the secrets
from any text that a library made.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ohmesh.errors import InvalidArgument

_FORMS = "Use sqlite:///path/to/ledger.db or postgresql://user:password@host/database."
_SECRET_OPTIONS = ("password", "sslpassword", "passfile")
_SCHEMES = {
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "postgresql+psycopg": "postgresql",
}


@dataclass(frozen=True, slots=True)
class Address:
    scheme: str  # sqlite | postgresql
    shown: str
    url: URL = field(repr=False)

    def scrubbed(self, words: str) -> str:
        secrets = [self.url.password, *(self.url.query.get(name) for name in _SECRET_OPTIONS)]
        for secret in secrets:
            if isinstance(secret, str) and secret:
                words = words.replace(secret, "***")
        return words


def parse_address(text: str) -> Address:
    """InvalidArgument when no ledger can be meant; the message never repeats the text, which may hold a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise InvalidArgument("This is not the URL of a ledger.", hint=_FORMS) from None
    scheme = _SCHEMES.get(url.drivername.lower())
    if scheme is None:
        raise InvalidArgument(f"{url.drivername!r} is not a database that a ledger can live in.", hint=_FORMS)
    return _sqlite_address(url) if scheme == "sqlite" else _postgresql_address(url)


def _sqlite_address(url: URL) -> Address:
    if url.host or url.query or not url.database:
        raise InvalidArgument(
            "The URL of a SQLite ledger is a path and nothing else.",
            hint="Use sqlite:///relative/path.db or sqlite:////absolute/path.db (three or four slashes).",
        )
    if url.database == ":memory:":
        raise InvalidArgument(
            "A ledger in memory would be a different one for each connection.", hint="Name a file: " + _FORMS
        )
    return Address("sqlite", f"sqlite:///{url.database}", url)


def _postgresql_address(url: URL) -> Address:
    if "@" in (url.host or ""):
        raise InvalidArgument(
            "The URL of the ledger has more than one @ before its host.",
            hint="Percent-encode the password: @ is %40, / is %2F, : is %3A.",
        )
    safe = URL.create(
        "postgresql",
        username=url.username,
        password="***" if url.password else None,
        host=url.host,
        port=url.port,
        database=url.database,
    )
    return Address("postgresql", safe.render_as_string(), url.set(drivername="postgresql+psycopg"))
