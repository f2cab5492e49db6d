"""FHIR maps read HL7 v2 paths, so they share HL7 v2's edge; only the named functions differ."""

from collections.abc import Mapping

from carelane.formats.fhir.doses import DOSES
from carelane.formats.fhir.functions import FUNCTIONS
from carelane.formats.fhir.headers import HEADERS
from carelane.formats.fhir.orders import ORDERS
from carelane.formats.fhir.records import RECORDS
from carelane.formats.fhir.roles import ROLES
from carelane.formats.hl7v2.edge import Hl7v2Edge
from carelane.mapping.edge import Function


class FhirEdge(Hl7v2Edge):
    """How the compiler reads HL7 v2 into FHIR and writes it back."""

    functions: Mapping[str, Function] = {**FUNCTIONS, **HEADERS, **ORDERS, **DOSES, **RECORDS, **ROLES}
