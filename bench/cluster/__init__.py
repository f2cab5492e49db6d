"""A PostgreSQL cluster of three kept by Patroni on this machine: its parts, its processes, the faults they are put through."""
