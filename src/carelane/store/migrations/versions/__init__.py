"""One file a revision, each running the SQL file of the same name."""
