"""Reads under the row-level security of one organization, and small helpers of the office's files."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Executable, RowMapping, text

from carelane.domain.ids import OrgId
from carelane.domain.office import Organization
from carelane.store.database import Database

ORGANIZATION = ", ".join(
    f"{{0}}.{column} AS org_{name}"
    for column, name in {
        "id": "number",
        "uid": "uid",
        "name": "name",
        "kind": "kind",
        "listed": "listed",
        "profile": "profile",
        "version": "version",
        "logo IS NOT NULL": "has_logo",
    }.items()
)
"""Columns of an organization under the alias given to ``format``; ``organization_of`` reads them."""


async def fetch(database: Database, reader: OrgId, statement: str | Executable, **values: Any) -> Sequence[RowMapping]:
    """Return the rows of a statement as this organization may see them; ``:org`` in a text is its number."""
    if isinstance(statement, str) and ":org" in statement:
        values["org"] = reader
    async with database.as_org(reader) as connection:
        found = await connection.execute(text(statement) if isinstance(statement, str) else statement, values)
        return found.mappings().all()


def organization_of(row: RowMapping) -> Organization:
    """Read the columns of ``ORGANIZATION``."""
    profile: dict[str, Any] = row["org_profile"] or {}
    words = {name: str(profile.get(name) or "") for name in ("place", "ehr", "about", "contact", "website")}
    offers, wants = (tuple(str(model) for model in profile.get(name) or ()) for name in ("offers", "wants"))
    return Organization(
        row["org_uid"],
        row["org_name"],
        row["org_kind"],
        row["org_listed"],
        **words,
        alert_email=str(profile.get("alert_email") or ""),
        offers=offers,
        wants=wants,
        id=row["org_number"],
        version=row["org_version"],
        logo=row["org_has_logo"],
    )
