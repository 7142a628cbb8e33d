"""The command `tritontube-admin`: looks after the storage cluster, through any web instance."""

from __future__ import annotations

import typer

from services.admin.cli import changes as cli_changes
from services.admin.cli import cluster as cli_cluster
from services.admin.cli import files as cli_files
from services.admin.cli import jobs as cli_jobs
from services.admin.cli import verification as cli_verification

app = typer.Typer(
    name="tritontube-admin",
    help="Look after TritonTube's storage cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for part in (cli_cluster, cli_changes, cli_files, cli_verification):
    app.add_typer(part.app)
app.add_typer(cli_jobs.app, name="jobs")


def main() -> None:
    """Entry point of the console script."""
    app()
