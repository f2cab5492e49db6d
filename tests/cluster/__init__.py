"""A hub on a PostgreSQL cluster, and the checker that judges it."""
