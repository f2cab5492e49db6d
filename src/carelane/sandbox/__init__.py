"""Simulated partners. ``hospital`` sends synthetic HL7 v2 traffic; ``vendor`` receives webhooks."""
