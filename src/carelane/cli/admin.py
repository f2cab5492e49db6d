"""``carelane admin``: what only the operator of a hub may do, at its own machine."""

import getpass
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from carelane.cli.console import OUT, print_json, print_table, run
from carelane.domain.office import KINDS

if TYPE_CHECKING:
    from carelane.store.office.operator import Operator

app = typer.Typer(no_args_is_help=True, help="Organizations and people, for the operator of the hub. Works beside a running hub and without one.")
ports = typer.Typer(no_args_is_help=True, help="Whose the ports are that sources listen on.")
app.add_typer(ports, name="ports")
holds = typer.Typer(no_args_is_help=True, help="Legal holds: what an organization sent and received is kept beyond its time.")
app.add_typer(holds, name="holds")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Email = Annotated[str, typer.Argument(help="The person's e-mail address.")]
Result = TypeVar("Result")


@holds.command("list")
def list_holds(as_json: Json = False) -> None:
    """List the legal holds that stand."""
    rows = [dict(row) for row in _run(lambda operator: operator.holds())]
    if as_json:
        print_json(rows)
        return
    shown = [(row["slug"], row["name"], row["reason"], row["placed_by"], row["placed_at"]) for row in rows]
    print_table("Legal holds", ["Short name", "Organization", "Reason", "By", "Since"], shown, "Nothing is held.")


@holds.command("place")
def place_hold(
    organization: Annotated[str, typer.Argument(help="Its short name.")], reason: Annotated[str, typer.Option(help="Why, for the audit trail.")]
) -> None:
    """Keep what an organization sent and received, from the days there are now, until the hold is lifted."""
    _run(lambda operator: operator.hold(organization, reason))
    OUT.print(f"{organization} is held: its messages are kept until the hold is lifted.", highlight=False)


@holds.command("lift")
def lift_hold(organization: Annotated[str, typer.Argument(help="Its short name.")]) -> None:
    """End a legal hold; what it kept beyond its time goes with the next upkeep."""
    _run(lambda operator: operator.lift(organization))
    OUT.print(f"The hold on {organization} is lifted.", highlight=False)


@app.command("organizations")
def organizations(as_json: Json = False) -> None:
    """List organizations."""
    rows = [dict(row) for row in _run(lambda operator: operator.organizations())]
    if as_json:
        print_json(rows)
        return
    shown = [(row["slug"], row["name"], row["kind"], "yes" if row["listed"] else "", row["members"], row["disabled_at"]) for row in rows]
    print_table("Organizations", ["Short name", "Name", "Kind", "Listed", "Members", "Disabled"], shown, "No organization yet.")


@app.command("users")
def users(as_json: Json = False) -> None:
    """List people with their organizations."""
    import orjson  # noqa: PLC0415

    rows = [{**dict(row), "organizations": orjson.loads(row["organizations"])} for row in _run(lambda operator: operator.users())]
    if as_json:
        print_json(rows)
        return
    shown = [
        (row["email"], row["name"], ", ".join(f"{name} ({role})" for name, role in row["organizations"]), row["seen_at"], row["disabled_at"]) for row in rows
    ]
    print_table("People", ["E-mail", "Name", "Organizations", "Last seen", "Disabled"], shown, "Nobody yet: sign up on the dashboard, or create-organization.")


@app.command("create-organization")
def create_organization(
    name: Annotated[str, typer.Argument(help="Its name, as partners will read it.")],
    owner: Annotated[str, typer.Option(help="E-mail address of its first owner; a person who is not known yet gets a password, printed once.")],
    kind: Annotated[str, typer.Option(help=f"One of: {', '.join(KINDS)}.")] = "provider",
    owner_name: Annotated[str, typer.Option(help="The owner's name, for a person who is not known yet.")] = "",
) -> None:
    """Create an organization with its environments, endpoints and default connections."""
    password = _run(lambda operator: operator.create_organization(name, kind, owner, owner_name))
    OUT.print(f"{name} is created; {owner} owns it.", highlight=False)
    if password:
        OUT.print(f"Their password, which is not shown again: {password}", highlight=False, markup=False)


@app.command("reset-password")
def reset_password(email: Email, stdin: Annotated[bool, typer.Option("--stdin", help="Read the new password from standard input.")] = False) -> None:
    """Give a person a new password, made up and printed once unless read from standard input. Their sign-ins end."""
    given = sys.stdin.readline().rstrip("\r\n") if stdin else ""
    if stdin and not given:
        raise typer.BadParameter("standard input holds no password")
    password = _run(lambda operator: operator.reset_password(email, given))
    OUT.print(f"The password of {email} is changed; every sign-in ended.", highlight=False)
    if not given:
        OUT.print(f"The new password, which is not shown again: {password}", highlight=False, markup=False)


@app.command("disable-user")
def disable_user(email: Email, force: Annotated[bool, typer.Option("--force", help="Also the only owner of an organization.")] = False) -> None:
    """Shut a person out: sign-ins end at once, personal keys are refused."""
    _run(lambda operator: operator.disable(email, force=force))
    OUT.print(f"{email} is disabled.", highlight=False)


@app.command("enable-user")
def enable_user(email: Email) -> None:
    """Let a disabled person in again."""
    _run(lambda operator: operator.enable(email))
    OUT.print(f"{email} may sign in again.", highlight=False)


@ports.command("list")
def list_ports(as_json: Json = False) -> None:
    """List the ports sources listen on, and those reserved for the organization that had them."""
    rows = [dict(row) for row in _run(lambda operator: operator.ports())]
    if as_json:
        print_json(rows)
        return
    shown = [(row["port"], row["state"], row["slug"], row["source"], row["environment"], row["since"]) for row in rows]
    print_table("Listen ports", ["Port", "State", "Organization", "Source", "Environment", "Since"], shown, "No port is anybody's: no source listens.")


@ports.command("free")
def free_port(
    port: Annotated[int, typer.Argument(min=1, max=65535, help="The port.")],
    to: Annotated[str, typer.Option(help="Short name of the only organization that may take it; else whoever comes first.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Also from a source that has it: the source is closed.")] = False,
) -> None:
    """Let another organization have a reserved port. Whoever still sends to it will send to them: ask first."""
    _run(lambda operator: operator.free_port(port, to=to, force=force))
    OUT.print(f"Port {port} is {f'reserved for {to}' if to else 'free'}.", highlight=False)


def _run(work: "Callable[[Operator], Awaitable[Result]]") -> Result:
    async def whole() -> Result:
        from carelane.front import open_operator  # noqa: PLC0415
        from carelane.ops.settings import Settings  # noqa: PLC0415

        async with open_operator(Settings(), f"operator {getpass.getuser()}") as operator:
            return await work(operator)

    return run(whole())
