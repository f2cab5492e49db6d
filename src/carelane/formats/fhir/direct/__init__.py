"""Data models that HL7 v2 has no messages for ↔ FHIR R4: rows between a document's objects and resources, both ways, nothing lost."""
