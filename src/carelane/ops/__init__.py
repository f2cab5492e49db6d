"""Running a hub: settings, logs, figures, upkeep."""
