"""Random bytes against everything that reads what a peer has sent: `make fuzz`."""
