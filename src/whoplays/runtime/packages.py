"""Packages that are not there: one line that says which, what for, and the command that installs it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ..errors import MissingExtraError, WhoplaysError, printable
from .interrupts import deferred_interrupts

#: Modules whose package has another name, beyond - in place of _.
_PACKAGES = {"av": "PyAV", "sklearn": "scikit-learn"}


@contextlib.contextmanager
def needed(purpose: str, extra: str = "", *, package: str = "") -> Iterator[None]:
    """Turn the failure of an import inside it into `MissingExtraError`.

    Parameters
    ----------
    purpose : str
        What needs the package, as the beginning of a sentence.
    extra : str
        The extra of whoplays that brings it; "" for what comes with every installation.
    package : str
        What to install in place of an extra.

    Raises
    ------
    MissingExtraError
        Names the package and the command that installs it.
    """
    try:
        with deferred_interrupts():  # Ctrl-C inside an import may look as if the package were broken
            yield
    except Exception as error:  # packages that do not fit each other fail with all kinds
        if missing_extra := missing(error, purpose, extra, package=package):
            raise missing_extra from None
        raise


def check_installed(purpose: str, extra: str, *modules: str) -> None:
    """Look for modules without loading them, before work that needs them at its end. Raises `MissingExtraError`."""
    with needed(purpose, extra):
        for name in modules:
            if find_spec(name) is None:
                raise ModuleNotFoundError(name=name)


def missing(error: Exception, purpose: str, extra: str = "", *, package: str = "") -> MissingExtraError | None:
    """Return the error for an import that failed; parameters as of `needed`. None: it is no such error, but our own."""
    module = "" if isinstance(error, WhoplaysError) else _culprit(error)
    if module in ("", "whoplays"):
        return None
    name = package or _PACKAGES.get(module, module.replace("_", "-"))
    if isinstance(error, ModuleNotFoundError):
        command = install_command(package or (f"whoplays[{extra}]" if extra else "whoplays"))
        return MissingExtraError(f"{purpose} needs {name}, which is not installed; run: {command}")
    again = "av" if module == "av" else name
    why = printable(" ".join(str(error).split()))[:200] or type(error).__name__
    windows = " (Windows: it may need the Microsoft Visual C++ Redistributable)" if os.name == "nt" else ""
    return MissingExtraError(
        f"{purpose} needs {name}, which cannot be loaded ({why}); "
        f"run: {install_command(f'--force-reinstall {again}')}{windows}"
    )


def _culprit(error: Exception) -> str:
    """Return the module that is missing, or the outermost one that was being loaded and is not ours."""
    if isinstance(error, ModuleNotFoundError):
        return (error.name or "").split(".")[0]
    step = error.__traceback__
    while step:
        name = str(step.tb_frame.f_globals.get("__name__", "")).split(".")[0]
        if step.tb_frame.f_code.co_name == "<module>" and name not in ("whoplays", "__main__"):
            return name
        step = step.tb_next
    return (error.name or "").split(".")[0] if isinstance(error, ImportError) else ""


def install_command(what: str) -> str:
    """Return the command that adds to this installation, made by pipx, uv or pip. what: as pip takes it: "whoplays[train]"."""
    import shutil
    from importlib.metadata import PackageNotFoundError, distribution

    quote = '"' if os.name == "nt" else "'"
    what = f"{quote}{what}{quote}" if "[" in what else what
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    if Path(sys.prefix, "pipx_metadata.json").exists():
        return f"pipx runpip whoplays install {what}"
    try:
        installer = (distribution("whoplays").read_text("INSTALLER") or "").strip()
    except PackageNotFoundError:
        installer = ""
    if installer == "uv":
        return f"uv pip install --python {python} {what.replace('--force-reinstall', '--reinstall')}"
    pip = shutil.which("pip")
    if pip and Path(pip).parent == Path(sys.executable).parent:
        return f"pip install {what}"
    return f"{python} -m pip install {what}"
