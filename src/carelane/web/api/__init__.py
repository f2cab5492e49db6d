"""The platform API; its rooms are still empty."""
