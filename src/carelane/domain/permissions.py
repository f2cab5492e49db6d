"""Who may do what: the rights of organization roles and of environment roles, in one table.

Two axes: everyone has one role in an organization and at most one per environment. Seeing payloads is a right of its
own, granted to a person, and needs support or engineer in the environment.
"""

from collections.abc import Mapping
from enum import StrEnum

from carelane.domain.errors import NotFound
from carelane.domain.views import Person


class Right(StrEnum):
    """Something a person may be allowed to do; the value is how people read it."""

    REQUEST_CONNECTION = "request a connection"
    SEE_ROLES = "see who has which role"
    INVITE = "invite people"
    ENVIRONMENT_ROLES = "change environment roles and payload viewing"
    ORGANIZATION_ROLES = "change organization roles"
    AUDIT = "review the audit trail"
    DECIDE_CONNECTION = "accept, suspend and end connections"
    PROFILE = "change the profile and the listing"
    SEE = "see endpoints, subscriptions, lanes and message headings"
    PAYLOADS = "see message content"
    OPERATE = "release, skip and replay; pause and resume lanes"
    BUILD = "change sources, destinations, keys and subscriptions"


ORGANIZATION: Mapping[Right, frozenset[str]] = {
    Right.REQUEST_CONNECTION: frozenset({"member", "admin", "owner"}),
    Right.SEE_ROLES: frozenset({"admin", "owner"}),
    Right.INVITE: frozenset({"admin", "owner"}),
    Right.ENVIRONMENT_ROLES: frozenset({"admin", "owner"}),
    Right.AUDIT: frozenset({"admin", "owner"}),
    Right.DECIDE_CONNECTION: frozenset({"admin", "owner"}),
    Right.ORGANIZATION_ROLES: frozenset({"owner"}),
    Right.PROFILE: frozenset({"owner"}),
}
ENVIRONMENT: Mapping[Right, frozenset[str]] = {
    Right.SEE: frozenset({"viewer", "support", "engineer"}),
    Right.PAYLOADS: frozenset({"support", "engineer"}),
    Right.OPERATE: frozenset({"support", "engineer"}),
    Right.BUILD: frozenset({"engineer"}),
}
ORGANIZATION_ROLES = ("owner", "admin", "member")
ENVIRONMENT_ROLES = ("engineer", "support", "viewer")
ENVIRONMENTS = ("development", "staging", "production")
_REFUSED = "There is nothing here for you: it does not exist, it belongs to another organization, or your role does not reach it."


def may(person: Person, right: Right, environment: str | None = None) -> bool:
    """Say whether a person has a right; rights of environments ask for the environment, or hold in any when it is None."""
    if right in ORGANIZATION:
        return person.role in ORGANIZATION[right]
    if right is Right.PAYLOADS and not person.payloads:
        return False
    roles = person.environments.values() if environment is None else (person.environments.get(environment, ""),)
    return any(role in ENVIRONMENT[right] for role in roles)


def demand(person: Person, right: Right, environment: str | None = None) -> None:
    """Refuse whoever lacks a right.

    Raises:
        NotFound: the same answer for what is missing, foreign and forbidden, so that nobody can probe.
    """
    if not may(person, right, environment):
        raise NotFound(_REFUSED, pointer="Ask an owner of your organization for the role you need.")


def nothing_here() -> NotFound:
    """Return the error for what is missing, foreign or forbidden."""
    return NotFound(_REFUSED, pointer="Ask an owner of your organization for the role you need.")


def rights(role: str, environments: Mapping[str, str], *, payloads: bool) -> tuple[str, ...]:
    """Return everything that roles allow, as sentences; environment rights name their environment."""
    found = [str(right) for right, roles in ORGANIZATION.items() if role in roles]
    for environment in ENVIRONMENTS:
        for right, roles in ENVIRONMENT.items():
            if environments.get(environment) in roles and (right is not Right.PAYLOADS or payloads):
                found.append(f"{right} in {environment}")
    return tuple(found)
