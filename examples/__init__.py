"""Small sites to copy from."""
