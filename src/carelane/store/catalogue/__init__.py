"""The catalogue, one file a noun: organizations, endpoints, keys, connections, subscriptions, people."""
