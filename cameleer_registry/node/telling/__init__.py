"""Those who tell of facts: counts, their metrics, and log lines. None of them decides anything."""
