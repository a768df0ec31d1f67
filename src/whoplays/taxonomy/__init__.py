"""A file of labels comes in; their tree, names, colours, and what other collections call them go out to every other room.

What people read in other words than labels, in every language, lies beside it (`messages.py`).
"""
