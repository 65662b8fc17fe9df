"""The checks of this project that no ready-made tool does."""
