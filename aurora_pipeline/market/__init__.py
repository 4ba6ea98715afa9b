"""Market folders: reading, validation with quarantine, universe, session bars, data quality, and the simulated market."""
