"""What several test modules need: clients for both protocols, specimen apps, real servers."""
