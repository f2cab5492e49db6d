"""The dashboard and the web server around it; pages ask the hub facade and nothing else."""
