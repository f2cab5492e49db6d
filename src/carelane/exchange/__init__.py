"""The journey of a message, one verb a file, speaking to ports only."""
