"""Faults on order, and what has to be there after them."""
