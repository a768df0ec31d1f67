"""How long it takes and how much memory: ours and a peer in turn, in one run."""
