"""The command line as a whole."""

import typer

from carelane import __version__
from carelane.cli import admin, check, convert, coverage, demo, explain, lanes, messages, send, serve, validate

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Carelane: a self-hosted hub for exchanging healthcare data between organizations.\n\n"
    "Start with [bold]carelane demo[/bold]. Settings come from CARELANE_… variables or a .env file; "
    "[bold]carelane check[/bold] explains what is wrong with them.\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong use or settings, 3 hub or database away, 4 a message was refused.",
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"carelane {__version__}")
        raise typer.Exit


@app.callback()
def _options(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version and leave.")) -> None:
    _ = version


app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("send")(send.send)
app.command("convert")(convert.convert)
app.command("validate")(validate.validate)
app.command("explain")(explain.explain)
app.command("coverage")(coverage.coverage)
app.command("check")(check.check)
app.add_typer(lanes.app, name="lanes")
app.add_typer(admin.app, name="admin")
app.add_typer(messages.app, name="messages")
