"""The command line: parse, call, print, exit status. The work is done elsewhere, and imported only when it is asked for."""

from . import audioset, dataset, demo, find, listen, predict, serve, train  # noqa: F401 - they add their commands to the app
from .main import app, main

__all__ = ["app", "main"]
