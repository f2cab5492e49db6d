"""Bytes ↔ document, pure. Each format offers five verbs: peek, read, write, acknowledge, judge."""
