"""What things are: organizations, endpoints, connections, subscriptions, messages, deliveries, verdicts, errors."""
