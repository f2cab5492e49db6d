"""HL7 version 2, as sent: versions 2.1 to 2.9, any delimiters, any character set, batches, Z-segments."""
