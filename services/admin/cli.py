"""The command `tritontube-admin`: looks after the storage cluster, through any web instance."""

from __future__ import annotations

import typer

from services.admin import cli_changes, cli_cluster, cli_files, cli_jobs

app = typer.Typer(
    name="tritontube-admin",
    help="Look after TritonTube's storage cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for part in (cli_cluster, cli_changes, cli_files):
    app.add_typer(part.app)
app.add_typer(cli_jobs.app, name="jobs")


def main() -> None:
    """Entry point of the console script."""
    app()
