"""The ``carelane`` command; one file a sub-command."""

from carelane.cli.app import app

__all__ = ["app"]
