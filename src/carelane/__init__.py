"""Carelane: an open, self-hosted hub for exchanging healthcare data between organizations."""

__version__ = "0.1.0"
