"""Platform API: members and their roles, invitations, personal keys."""

from datetime import datetime

from fastapi import Depends, Response
from pydantic import Field

from carelane.domain.office import Invitation, Member, PersonalKey
from carelane.domain.permissions import nothing_here
from carelane.domain.views import Person
from carelane.exchange.hub import Hub
from carelane.web.api.common import Asker, Cursor, IfMatch, Limit, Office, listed, once, paged, refused, router_of, tag, version_of
from carelane.web.api.shapes import Environment, EnvironmentRole, InvitationId, Line, Listed, Name, OrganizationRole, PersonalKeyId, PersonId, Shape, shaped

router = router_of("people")


class Roles(Shape):
    """What somebody may do: one role in the organization, one per environment, and seeing content as a right of its own."""

    role: OrganizationRole
    environments: dict[Environment, EnvironmentRole] = Field(default_factory=dict, examples=[{"development": "engineer", "production": "support"}])
    payloads: bool = Field(False, description="May see message content where the environment role allows it.")

    def by_environment(self) -> dict[str, str]:
        """Environment → role."""
        return {str(environment): str(role) for environment, role in self.environments.items()}


class MemberOut(Roles):
    """A person of the organization."""

    id: PersonId = Field(validation_alias="uid")
    name: str
    email: str
    disabled: bool


class Difference(Shape):
    """What a change of roles would do."""

    gains: list[str]
    losses: list[str]


class NewInvitation(Roles):
    """Whom to invite, and as what."""

    email: Line = Field(examples=["ann@example.org"])


class InvitationOut(Roles):
    """An invitation."""

    id: InvitationId = Field(validation_alias="uid")
    email: str
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None


class Invited(InvitationOut):
    """A new invitation with its link, which is not shown again."""

    link: str = Field(description="Path of the page where the invitation is accepted.", examples=["/join/…"])


class NewPersonalKey(Shape):
    """What a new key is for, and for how long."""

    name: Name = Field(examples=["nightly reconciliation"])
    days: int = Field(90, ge=1, le=366, description="How long it lives.")


class PersonalKeyOut(Shape):
    """One of one's own keys."""

    id: PersonalKeyId = Field(validation_alias="uid")
    name: str
    last_four: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class CreatedPersonalKey(PersonalKeyOut):
    """A new key; the key itself is not shown again."""

    key: str = Field(examples=["cp_…"])


def _invitation(one: Invitation) -> InvitationOut:
    return InvitationOut.model_validate(one)


@router.get("/members", summary="List members", responses=refused(404))
async def list_members(hub: Office, person: Asker, limit: Limit = 50, cursor: Cursor = "") -> Listed[MemberOut]:
    """Return the people of one's organization; for admins and owners."""
    return listed(paged(await hub.team.members(person), lambda one: one.uid, limit, cursor), MemberOut.model_validate)


async def _member(hub: Hub, person: Person, uid: PersonId, response: Response) -> MemberOut:
    found: Member | None = next((one for one in await hub.team.members(person) if one.uid == uid), None)
    if found is None:
        raise nothing_here()
    tag(response, found.version)
    return MemberOut.model_validate(found)


@router.get("/members/{member}", summary="Read a member", responses=refused(404))
async def read_member(member: PersonId, hub: Office, person: Asker, response: Response) -> MemberOut:
    """Return one person with their roles and the ETag of the roles."""
    return await _member(hub, person, member, response)


@router.put("/members/{member}/roles", summary="Change roles", responses=refused(404, 409, 412))
async def change_roles(member: PersonId, roles: Roles, hub: Office, person: Asker, response: Response, if_match: IfMatch = None) -> MemberOut:
    """Give a person other roles; organization roles are for owners. The last owner stays one."""
    await hub.team.change_roles(
        person, member, role=roles.role, environments=roles.by_environment(), payloads=roles.payloads, version=version_of(if_match)
    )  # fmt: skip
    return await _member(hub, person, member, response)


@router.post("/members/{member}/roles/difference", summary="See what a change of roles would do", responses=refused(404))
async def difference(member: PersonId, roles: Roles, hub: Office, person: Asker) -> Difference:
    """Return what a person would gain and lose; nothing is changed."""
    gains, losses = await hub.team.difference(person, member, role=roles.role, environments=roles.by_environment(), payloads=roles.payloads)
    return Difference(gains=gains, losses=losses)


@router.delete("/members/{member}", status_code=204, summary="Remove a member", responses=refused(404, 409))
async def remove_member(member: PersonId, hub: Office, person: Asker) -> None:
    """Take a person out of the organization: their sign-ins and keys here end at once; for owners."""
    await hub.team.remove(person, member)


@router.get("/invitations", summary="List invitations", responses=refused(404))
async def list_invitations(hub: Office, person: Asker, limit: Limit = 50, cursor: Cursor = "") -> Listed[InvitationOut]:
    """Return the invitations of one's organization: open, accepted and withdrawn."""
    return listed(paged(await hub.team.invitations(person), lambda one: one.uid, limit, cursor), _invitation)


@router.post("/invitations", status_code=201, summary="Invite somebody", responses=refused(404, 409), dependencies=[Depends(once)])
async def create_invitation(new: NewInvitation, hub: Office, person: Asker) -> Invited:
    """Invite somebody by e-mail; the link is mailed where mail is configured, and answered here once."""
    token = await hub.team.invite(person, email=new.email, role=new.role, environments=new.by_environment(), payloads=new.payloads)
    made = next(one for one in await hub.team.invitations(person) if one.email == new.email.strip().lower())
    return shaped(Invited, made, link=f"/join/{token}")


@router.delete("/invitations/{invitation}", status_code=204, summary="Withdraw an invitation", responses=refused(404, 409))
async def revoke_invitation(invitation: InvitationId, hub: Office, person: Asker) -> None:
    """Withdraw an invitation that was not accepted yet."""
    await hub.team.revoke_invitation(person, invitation)


@router.get("/personal-keys", summary="List one's own keys")
async def list_personal_keys(hub: Office, person: Asker, limit: Limit = 50, cursor: Cursor = "") -> Listed[PersonalKeyOut]:
    """Return the keys of the person who asks."""
    return listed(paged(await hub.personal_keys.find(person), lambda one: one.uid, limit, cursor), PersonalKeyOut.model_validate)


@router.post("/personal-keys", status_code=201, summary="Make a key", responses=refused(409), dependencies=[Depends(once)])
async def create_personal_key(new: NewPersonalKey, hub: Office, person: Asker) -> CreatedPersonalKey:
    """Make another key for oneself in this organization, for instance before the present one ends."""
    uid, token = await hub.personal_keys.create(person, new.name, new.days)
    made: PersonalKey = next(one for one in await hub.personal_keys.find(person) if one.uid == uid)
    return shaped(CreatedPersonalKey, made, key=token)


@router.delete("/personal-keys/{key}", status_code=204, summary="Revoke a key", responses=refused(404))
async def revoke_personal_key(key: PersonalKeyId, hub: Office, person: Asker) -> None:
    """Make one of one's own keys useless at once, the one used for this request too."""
    await hub.personal_keys.revoke(person, key)
