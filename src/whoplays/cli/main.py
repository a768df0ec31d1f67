"""Running a command, and how errors reach people: one line each, and the exit status."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import time
from collections.abc import Sequence

from ..errors import WhoplaysError
from ..runtime.interrupts import terminated_as_interrupted
from ..runtime.packages import missing
from ..storage import streams
from . import output
from .commands import parse
from .output import INTERRUPTED, say, warn

BROKEN_PIPE = 141

#: Of what standard output leads to, as a disk. Errors of files that are written by name are reported where that is done.
_STREAM_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)

#: Commands that decode recordings, or record from a device, in this process.
_READERS = {"predict", "listen", "embed", "similar", "find", "evaluate", "train", "dataset"}


def main() -> None:
    """Run the command of this process, and end it with the exit status."""
    streams.prepare()
    if not os.environ.get("WHOPLAYS_DEBUG") and {*sys.argv[1:2]} & _READERS:
        _silence_decoders()
    with terminated_as_interrupted():
        status = run(sys.argv[1:])
        if status == INTERRUPTED:
            _end_at_once_if_held(status)
        sys.exit(status)


def _end_at_once_if_held(status: int) -> None:
    """End this process now where Python would wait for a thread: who pressed Ctrl-C twice has one that does not end."""
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none
                stream.flush()
        os._exit(status)


def run(words: Sequence[str]) -> int:
    """Run a command line and return its exit status.

    Parameters
    ----------
    words : sequence of str
        The command and its arguments, without the program's name.

    Returns
    -------
    int
        0 all good; 1 some recording or the work failed; 2 wrong usage; 130 interrupted; 141 nobody reads the output.
    """
    debug = bool(os.environ.get("WHOPLAYS_DEBUG"))
    verbose, begun = False, time.monotonic()
    try:
        try:
            arguments = parse(words)
            output.quiet, output.language = arguments.quiet, getattr(arguments, "lang", "en")
            verbose = arguments.verbose
            status = int(arguments.run(arguments) or 0)
        except SystemExit as stop:  # help, the version
            status = stop.code if isinstance(stop.code, int) else 0
        if sys.stdout is not None:
            sys.stdout.flush()
        if verbose:
            say(f"{time.monotonic() - begun:.2f} s")
        return status
    except WhoplaysError as error:
        if debug:
            raise
        warn(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        warn("stopped")
        return INTERRUPTED
    except BrokenPipeError:
        streams.abandon_output()
        return BROKEN_PIPE
    except Exception as error:
        if debug:
            raise
        if os.name == "nt" and isinstance(error, OSError) and error.errno == errno.EINVAL and not error.filename:
            streams.abandon_output()  # how Windows reports that nobody reads
            return BROKEN_PIPE
        if isinstance(error, OSError) and error.errno in _STREAM_ERRORS and not error.filename:
            warn(f"standard output cannot be written ({error.strerror}); what was written is not complete")
            streams.abandon_output()
            return 1
        if missing_extra := missing(error, "whoplays"):
            warn(str(missing_extra))
            return missing_extra.exit_status
        what = " ".join(str(error).split())[:300]
        if verbose:
            import traceback

            traceback.print_exc()
        warn(f"unexpected {type(error).__name__}: {what} (-v prints where; please report it)")
        return 1
    finally:
        output.quiet, output.language = False, "en"


def _silence_decoders() -> None:
    """Keep standard error for what Python writes: libmpg123, ALSA and others print there what they think."""
    try:
        if sys.stderr.fileno() != 2:
            return
        ours = os.fdopen(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    except (OSError, ValueError, AttributeError):  # closed, or none
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = ours
