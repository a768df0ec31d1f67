"""Functions and lists of work come in; results go out, computed by processes of this machine, each with its limits."""
