"""How good the answers are: recognition, segments, training recipes."""
