import pytest

from carelane.formats.fhir.systems import authority_system, name_of, system_of, vocabularies


@pytest.mark.parametrize(
    ("name", "expected"),
    [("LN", "http://loinc.org"), ("SCT", "http://snomed.info/sct"), ("HL70001", "http://terminology.hl7.org/CodeSystem/v2-0001"),
     ("L", "urn:carelane:local:L"), ("99LAB", "urn:carelane:local:99LAB"), ("2.16.840.1.113883.6.1", "urn:oid:2.16.840.1.113883.6.1"),
     ("http://example.org/x", "http://example.org/x")],
)  # fmt: skip
def test_a_coding_system_becomes_a_uri_and_never_an_invented_web_address(name, expected):
    assert expected == system_of(name)


def test_a_name_comes_back_from_its_uri():
    assert [name_of(system_of(name)) for name in ("LN", "CVX", "HL70001", "99LAB")] == ["LN", "CVX", "HL70001", "99LAB"]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [(("N", "1.2.3", "ISO"), "urn:oid:1.2.3"), (("N", "not an oid", "ISO"), "urn:carelane:local:not-an-oid"), (("N", "", ""), "urn:carelane:local:N"),
     (("", "6F0E4C42-8F57-5C15-9C0E-1C8B7F0A6A01", "UUID"), "urn:uuid:6f0e4c42-8f57-5c15-9c0e-1c8b7f0a6a01"), (("N", "lab.example", "DNS"), "urn:carelane:local:N"),
     (("", "", ""), "")],
)  # fmt: skip
def test_an_authority_becomes_a_urn_or_the_sources_own_system(parts, expected):
    assert expected == authority_system(*parts)


def test_a_vocabulary_with_codes_says_their_system():
    assert [] == [name for name, one in vocabularies().items() if one.codes and not one.system]
