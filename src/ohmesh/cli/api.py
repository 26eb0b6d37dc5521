"""`ohmesh api`: the door for HTTP of a mesh. `ohmesh up` starts it too; alone it serves a mesh that runs elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from ohmesh.cli.options import json_option, read_settings, which_mesh_options
from ohmesh.cli.output import Output
from ohmesh.errors import UsageError

_SETTINGS = {
    "host": "api.host",
    "port": "api.port",
    "allow_remote": "api.allow_remote",
    "allowed_hosts": "api.allowed_hosts",
    "allowed_origins": "api.allowed_origins",
    "token_file": "api.token_file",
}


@click.command("api")
@click.option("--host", metavar="ADDRESS", help="Where to listen. [default: 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="Port; default: 7400, or a free one when it is taken.",
)
@click.option(
    "--allow-remote",
    is_flag=True,
    default=None,
    help="Listen beyond this machine, without TLS; say it knowingly.",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A further name it is asked by; repeatable.",
)
@click.option(
    "--allow-origin", "allowed_origins", multiple=True, metavar="ORIGIN",
    help="A web page that may ask, as scheme://host:port; repeatable.",
)  # fmt: skip
@click.option(
    "--token-file", metavar="FILE", help="The owner's token; default: api-token in the data directory."
)
@click.option("--new-key", metavar="NAME", help="Make a key for somebody, print it once, and end.")
@click.option("--parent", type=click.INT, default=0, hidden=True)
@which_mesh_options
@json_option
def command(
    new_key: str | None, parent: int, config_file: Path | None, as_json: bool, **given: object
) -> None:
    """Serve a mesh over HTTP until Ctrl-C: the verbs under /v1, and the endpoints of docs/rest.md.

    Whoever asks sends `Authorization: Bearer TOKEN`, with the token of the data directory or a key made by --new-key.
    """
    check_installed()
    from ohmesh.assembly.api_access import add_key, keys_path
    from ohmesh.assembly.settings import data_directory

    output = Output(as_json=as_json)
    said = {name: value for name, value in given.items() if value != ()}
    config = read_settings(said, config_file, _SETTINGS)
    if new_key is not None:
        from ohmesh.api.config import ApiConfig

        key = add_key(keys_path(config.of(ApiConfig), data_directory(config)), new_key)
        output.data({"name": new_key, "key": key} if as_json else key)
        return
    from ohmesh.assembly.api_server import run_api
    from ohmesh.assembly.system import run_in_loop
    from ohmesh.assembly.termination import tie_to_parent

    tie_to_parent(parent)

    def ready(url: str, token_file: Path) -> None:
        if as_json:
            output.event("ready", name=url, token_file=str(token_file))
            return
        output.say(f"the mesh is served at {url}/v1/docs   (token: {token_file}); Ctrl-C ends it")

    run_in_loop(run_api(config, ready=ready, notice=output.say))
    if not parent:
        output.say("ended")


def check_installed() -> None:
    from ohmesh.api.config import is_installed

    if not is_installed():
        raise UsageError(
            "The door for HTTP needs libraries that are not installed.", hint="pip install 'ohmesh[api]'"
        )
