"""The same load, faults and bad inputs for the bridge and for each peer: who holds, who does not."""
