"""PostgreSQL, embedded or shared: the ledger of messages, the catalogue, leases, keys and audit."""
