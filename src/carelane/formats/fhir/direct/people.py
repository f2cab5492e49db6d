"""People and organizations of documents ↔ references to resources of their own."""

from typing import Any

from carelane.formats.fhir.assembly import key_of
from carelane.formats.fhir.direct.kinds import Json, address, address_back, emails, emails_back, identifier, identifier_back, phones, phones_back


def name(value: Any, _scope: Any) -> Json | None:
    """FirstName, MiddleName, LastName of an object → HumanName."""
    if not isinstance(value, dict):
        return None
    given = [text for key in ("FirstName", "MiddleName") if (text := value.get(key))]
    found = {**({"family": value["LastName"]} if value.get("LastName") else {}), **({"given": given} if given else {})}
    return found or None


def name_back(value: Any, _builder: Any) -> Json | None:
    """The first HumanName."""
    one = next(iter(value), None) if isinstance(value, list) else value
    if not isinstance(one, dict):
        return None
    given = [text for text in one.get("given") or [] if isinstance(text, str)]
    found = {"LastName": one.get("family"), "FirstName": given[0] if given else None, "MiddleName": " ".join(given[1:]) or None}
    return {key: text for key, text in found.items() if text} or None


def practitioner(value: Any, scope: Any) -> Json | None:
    """A provider → a reference to a Practitioner."""
    known, number, email = name(value, scope), identifier(value, scope), emails(value.get("EmailAddresses") if isinstance(value, dict) else None, scope)
    if known is None and number is None:
        return None
    where, how = address(value.get("Address"), scope), phones(value.get("PhoneNumber"), scope)
    degrees = (
        [{"code": {"text": text}} for text in value.get("Credentials") or [] if isinstance(text, str) and text]
        if isinstance(value.get("Credentials"), list)
        else []
    )
    resource = {
        "resourceType": "Practitioner", "identifier": [number] if number else None, "name": [known] if known else None, "address": [where] if where else None,
        "telecom": [*(how or []), *(email or [])] or None, "qualification": degrees or None,
    }  # fmt: skip
    found = {key: one for key, one in resource.items() if one}
    link: Json = scope.around.assembly.add(found, key_of(found.get("identifier")))
    return link


def practitioner_back(value: Any, builder: Any) -> Json | None:
    """A reference to a Practitioner → a provider."""
    found = builder.around.resolve(value)
    if found is None or found.get("resourceType") != "Practitioner":
        return None
    how = found.get("telecom")
    degrees = [text for one in found.get("qualification") or [] if isinstance(one, dict) and (text := (one.get("code") or {}).get("text"))]
    told = {
        **(identifier_back(next(iter(found.get("identifier") or []), None), builder) or {}), **(name_back(found.get("name"), builder) or {}),
        "Address": address_back(found.get("address"), builder), "PhoneNumber": phones_back(how, builder), "EmailAddresses": emails_back(how, builder),
        "Credentials": degrees,
    }  # fmt: skip
    return {key: one for key, one in told.items() if one} or None


def organization(value: Any, scope: Any) -> Json | None:
    """A company or an organization → a reference to an Organization."""
    if not isinstance(value, dict) or not (value.get("Name") or value.get("ID")):
        return None
    where, number = address(value.get("Address"), scope), identifier(value, scope)
    phone = value.get("PhoneNumber")
    how = [{"system": "phone", "use": "work", "value": phone}] if isinstance(phone, str) and phone else phones(phone, scope)
    resource = {
        "resourceType": "Organization",
        "name": value.get("Name"),
        "identifier": [number] if number else None,
        "address": [where] if where else None,
        "telecom": how,
    }
    link: Json = scope.around.assembly.add({key: one for key, one in resource.items() if one}, "")
    return link


def organization_back(value: Any, builder: Any) -> Json | None:
    """A reference to an Organization → a company or an organization."""
    found = builder.around.resolve(value)
    if found is None or found.get("resourceType") != "Organization":
        return None
    how = next((one.get("value") for one in found.get("telecom") or [] if isinstance(one, dict)), None)
    told = {
        **(identifier_back(next(iter(found.get("identifier") or []), None), builder) or {}), "Name": found.get("name"),
        "Address": address_back(found.get("address"), builder), "PhoneNumber": how,
    }  # fmt: skip
    return {key: one for key, one in told.items() if one} or None
