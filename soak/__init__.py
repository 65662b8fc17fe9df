"""A soak: mixed load over real servers for minutes, each answer checked, and what the process holds drawn."""
