"""HL7 table 0211 (alternate character sets) and the order in which a message's bytes are decoded."""

import codecs

from carelane.domain.errors import Unreadable

# Chapter 2, table 0211 → Python codec. Vendors' spellings are included.
CODECS = {
    "": None,
    "ASCII": "ascii",
    "8859/1": "latin-1",
    "8859/2": "iso8859-2",
    "8859/3": "iso8859-3",
    "8859/4": "iso8859-4",
    "8859/5": "iso8859-5",
    "8859/6": "iso8859-6",
    "8859/7": "iso8859-7",
    "8859/8": "iso8859-8",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
    "ISO IR6": "ascii",
    "ISO IR14": "iso2022_jp",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "CNS 11643-1992": "big5hkscs",
    "BIG-5": "big5",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "ISO-8859-1": "latin-1",
    "ISO8859-1": "latin-1",
    "WINDOWS-1252": "cp1252",
    "CP1252": "cp1252",
}
FALLBACK = "cp1252"
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


def refuse_wide(raw: bytes) -> None:
    """UTF-16 and UTF-32 are not allowed in HL7 v2.

    Raises:
        Unreadable: the bytes start with the byte-order mark of one of them.
    """
    if raw.startswith(_WIDE):
        raise Unreadable("UTF-16 and UTF-32 are not allowed in HL7 v2; send UTF-8 and say so in MSH-18")


def decode(raw: bytes, declared: str, fallback: str = FALLBACK) -> tuple[str, str, str | None]:
    """Return the text, the codec used, and a reason when it was not the declared one.

    Strict all the way: a replacement character in a name is a patient-safety event. The last resort, Latin-1, maps
    every byte, so nothing is lost and the bytes can be written back.

    Raises:
        Unreadable: no codec fits (Latin-1 reads everything, so this does not happen).
    """
    if raw.isascii() and CODECS.get(declared.upper()) != "iso2022_jp":
        return raw.decode("ascii"), CODECS.get(declared.upper()) or "utf-8", None
    wanted = CODECS.get(declared.strip().upper())
    tries = [name for name in (wanted, "utf-8", fallback, "latin-1") if name]
    for name in tries:
        try:
            text = raw.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
        if name == wanted or (wanted is None and name == "utf-8"):
            return text, name, None
        said = f"MSH-18 says {declared}" if wanted else "MSH-18 is empty"
        return text, name, f"{said}, but the bytes were read as {name}"
    raise Unreadable("the bytes fit no character set")  # unreachable: Latin-1 reads everything
