"""A file of labels comes in; their tree, names, colours, and what other collections call them go out to every other room."""
