"""Recordings, samples or a stream come in; predictions go out: scores, what plays when, and why."""
