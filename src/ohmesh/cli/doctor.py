"""`ohmesh doctor`: what is right and wrong here, each finding with its remedy."""

from __future__ import annotations

import textwrap
from pathlib import Path

import click

from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.options import json_option, read_settings, which_mesh_options
from ohmesh.cli.output import MAX_WIDTH, Output


@click.command("doctor")
@which_mesh_options
@json_option
def command(config_file: Path | None, as_json: bool, **given: object) -> int:
    """Check this machine and the mesh, and say how to mend what is wrong."""
    from ohmesh.assembly.findings import Weight
    from ohmesh.assembly.machine_checks import check_machine
    from ohmesh.assembly.mesh_checks import check_mesh
    from ohmesh.assembly.settings import data_directory
    from ohmesh.assembly.system import run_in_loop

    output = Output(as_json=as_json)
    config = read_settings(given, config_file)
    data = data_directory(config)
    findings = check_machine(config, data) + run_in_loop(check_mesh(config, data))
    if as_json:
        output.data({"findings": findings})
    else:
        for finding in findings:
            output.data(_wrapped(f"{finding.weight:<8} {finding.subject:<11}", finding.text))
            if finding.remedy:
                output.data(_wrapped(f"{'':<20} ->", finding.remedy))
    return ExitCode.FAILED if any(one.weight is Weight.PROBLEM for one in findings) else ExitCode.OK


def _wrapped(label: str, text: str) -> str:
    """`text` beside its label, in lines that fit; paths and commands stay whole."""
    return textwrap.fill(
        text,
        MAX_WIDTH,
        initial_indent=f"{label} ",
        subsequent_indent=" " * (len(label) + 1),
        break_long_words=False,
        break_on_hyphens=False,
    )
