"""Each framework hosts each framework; a cell answers as its child does natively, but for the prefix."""
