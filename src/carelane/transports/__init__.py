"""Protocols spoken with partners. The name of a file is the key of its transport; deleting it deletes the feature."""
