"""The data models: one JSON Schema (2020-12) per event type, one folder per model, shared shapes in ``shared.json``."""
