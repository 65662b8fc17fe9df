"""One kind of page."""
