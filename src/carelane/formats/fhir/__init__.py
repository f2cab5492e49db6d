"""FHIR R4: documents become bundles and bundles become documents, by way of the fields HL7's own v2-to-FHIR tables speak of."""
