"""A model folder comes in, is checked, and goes out as settings and a network that turns features into logits."""
