"""Data Model JSON: the canonical form, in and out."""
