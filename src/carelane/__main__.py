"""Lets ``python -m carelane`` behave as the ``carelane`` command."""

from carelane.cli import app

if __name__ == "__main__":
    app()
