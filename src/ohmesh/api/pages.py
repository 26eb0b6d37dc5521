"""Pages for people: all verbs with a line of curl for each, and what each error code means. Plain HTML without scripts,
fonts or images, so that they work without a network and in any browser."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape

from starlette.responses import HTMLResponse

from ohmesh.api.catalogue import ErrorPage, catalogue
from ohmesh.api.routes import CONFIRM, IDS, PREFIX, Address
from ohmesh.operations.parameter import Form, Parameter

EXAMPLE_ID = "01JD3Y9Q8K2M4N6P8R0S2T4V6W"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "pre{padding:.6rem;border:1px solid;overflow-x:auto}code{font-family:ui-monospace,monospace}"
    "table{border-collapse:collapse}td,th{border:1px solid;padding:.2rem .6rem;text-align:left;vertical-align:top}"
)
_SAMPLES: dict[str, object] = {
    "kind": "text",
    "arguments": ["What a lovely day!"],
    IDS: [EXAMPLE_ID],
    "task_id": EXAMPLE_ID,
}


def docs_page(addresses: Sequence[Address], others: Iterable[tuple[str, str]], base: str) -> HTMLResponse:
    """`others`: method and path of what is no verb."""
    rows = "".join(
        f'<tr><td><a href="#{escape(one.name)}">{escape(one.method)} {escape(one.path)}</a></td>'
        f"<td>{escape(one.verb.summary)}</td></tr>"
        for one in addresses
    )
    further = "".join(f"<li><code>{escape(method)} {escape(path)}</code></li>" for method, path in others)
    return _page(
        "ohmesh over HTTP",
        f"<p>Every request carries <code>Authorization: Bearer TOKEN</code>; the token is in the file api-token of the "
        f"data directory. For programs: <a href='{PREFIX}/openapi.json'>openapi.json</a>. Refusals are problems "
        f"(RFC 9457); <a href='/errors'>their codes</a>.</p><pre>TOKEN=$(cat DATA/api-token)</pre>"
        f"<table><tr><th>address</th><th>what it does</th></tr>{rows}</table>"
        f"{''.join(_section(one, base) for one in addresses)}"
        f"<h2>What is no verb: a task as a stream of events, the endpoints of an older queue</h2><ul>{further}</ul>",
    )


def errors_page() -> HTMLResponse:
    rows = "".join(
        f'<tr><td><a href="/errors/{page.code}"><code>{page.code}</code></a></td><td>{page.status}</td>'
        f"<td>{escape(page.title)}</td></tr>"
        for page in catalogue().values()
    )
    return _page("Errors of ohmesh", f"<table><tr><th>code</th><th>status</th><th></th></tr>{rows}</table>")


def error_page(page: ErrorPage) -> HTMLResponse:
    again = "may help" if page.is_retryable else "cannot help"
    return _page(
        f"{page.code}: {page.title}",
        f"<p>{escape(page.phrase)}; in Python <code>ohmesh.{page.name}</code>. "
        f"Repeating the request unchanged {again}.</p>"
        f"<p>{escape(page.advice)}</p><p><a href='/errors'>all codes</a></p>",
    )


def curl_line(address: Address, base: str) -> str:
    """A line that works, with what has to be given."""
    needed = [one for one in address.verb.parameters() if one.required or one.name == "arguments"]
    values = {one.name: _sample(one) for one in needed}
    if not values and any(one.name == IDS for one in address.verb.parameters()):
        values = {IDS: [EXAMPLE_ID]}
    if address.verb.confirmation:
        values[CONFIRM] = True
    head = 'curl -H "Authorization: Bearer $TOKEN"'
    if address.method == "POST":
        return f"{head} {base}{address.path} --json '{json.dumps(values)}'"
    if address.in_path:
        return f"{head} {base}{address.path.partition('{')[0]}{EXAMPLE_ID}"
    query = "&".join(f"{name}={item}" for name, value in values.items() for item in _as_list(value))
    return f"{head} '{base}{address.path}{'?' if query else ''}{query}'"


def _section(address: Address, base: str) -> str:
    verb = address.verb
    parameters = "".join(_row(one) for one in verb.parameters())
    table = f"<table>{parameters}</table>" if parameters and not address.is_item else ""
    said = "One of them, by its id." if address.is_item else verb.help
    return (
        f'<h2 id="{escape(address.name)}">{escape(address.method)} {escape(address.path)}</h2>'
        f"<p>{escape(verb.summary)} {escape(said)}</p>{table}<pre>{escape(curl_line(address, base))}</pre>"
    )


def _row(one: Parameter) -> str:
    need = "required" if one.required else f"default {json.dumps(one.default)}"
    return (
        f"<tr><td><code>{escape(one.name)}</code></td><td>{escape(one.help)}</td><td>{escape(need)}</td></tr>"
    )


def _sample(one: Parameter) -> object:
    if one.name in _SAMPLES:
        return _SAMPLES[one.name]
    value: object = 1 if one.form in (Form.INTEGER, Form.NUMBER) else "text"
    return [value] if one.repeated else value


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _page(title: str, content: str) -> HTMLResponse:
    return HTMLResponse(
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<meta name='viewport' content='width=device-width'><style>{_STYLE}</style>"
        f"<h1>{escape(title)}</h1>{content}</html>\n",
        headers={"Content-Security-Policy": _POLICY},
    )
