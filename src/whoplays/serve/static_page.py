"""The page, a model and the npm package's files come in; a folder goes out that any host of static files can serve.

Nothing in it asks for another host, and the model runs in the reader's browser.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from .. import __version__
from ..errors import ModelError, UsageError
from ..model import folder
from ..storage.files import make_folder, together, write_atomically
from . import assets

#: The page's policy, and the permission to compile WebAssembly. A <meta> cannot say who may frame the page.
POLICY = assets.POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'").replace(
    "; frame-ancestors 'none'", ""
)
FILES = "files.js"  # what the service worker keeps
_SERVED = '<script type="module" src="page/js/serve.js"></script>'
_STATIC = "\n".join(
    (
        '<link rel="manifest" href="manifest.webmanifest">',
        '<link rel="modulepreload" href="runtime/index.js">',
        '<script type="module" src="page/js/runtime.js"></script>',
        '<script type="module" src="page/js/static.js"></script>',
    )
)
_CHARSET = '<meta charset="utf-8">\n'


def find_runtime(given: Path | None = None) -> Path:
    """Return the folder of the npm package's built files.

    given: the npm package, or its folder `dist`; None: looked for in `node_modules` here, then in a checkout's `web`. Raises
    `UsageError`, which says what to do, where there is none, or one of another version.
    """
    packages = [given] if given else [Path("node_modules/whoplays"), Path(__file__).parents[3] / "web"]
    for built in (place for package in packages for place in (package, package / "dist")):
        if (built / "worker.js").is_file():
            facts = built.parent / "package.json"
            version = json.loads(facts.read_text(encoding="utf-8")).get("version") if facts.is_file() else __version__
            if version != __version__:
                problem = f"is of whoplays {version}, and this is {__version__}; install the same version"
                raise UsageError(f"{built}: {problem}")
            return built
    where = f"{given} holds no built npm package" if given else "the npm package whoplays is not here"
    raise UsageError(
        f"{where}: run npm install whoplays in this folder (in a checkout: cd web && npm ci && npm run build), "
        "or name its folder with --runtime"
    )


def build(out: Path, runtime: Path, model: Path | None = None) -> dict[str, int]:
    """Write the page into a folder; return the bytes of each file by name.

    out: new, empty, or of an earlier build, which is replaced. runtime: what `find_runtime` returns. model: a model folder;
    None: the model inside the package. Raises `UsageError` where the folder holds something else, `ModelError` for a model that
    cannot be read, or not be run in a browser.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / FILES).is_file())):
        raise UsageError(f"{out}: holds other files; name a new folder, or one of an earlier build")
    site = dict(sorted(_contents(runtime, folder.read(model))))
    version = hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in site.values())).hexdigest()[:16]
    listed = json.dumps({"version": version, "files": list(site)}, indent=0)
    site[FILES] = f"self.site = {listed};\n".encode()
    with together():
        for name, content in site.items():
            write_atomically(make_folder((out / name).parent) / (out / name).name, content, durable=False)
    for path in (out / "runtime").iterdir():
        if path.is_file() and f"runtime/{path.name}" not in site:
            path.unlink()  # of an earlier build
    return {name: len(content) for name, content in site.items()}


def _contents(runtime: Path, model: folder.Bundle) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file but the list of them."""
    n_fft = model.config.features.n_fft
    if n_fft & (n_fft - 1):
        raise ModelError(f"{model.folder}: its n_fft is {n_fft}; a browser needs a power of two")
    for name, asset in assets.page().items():
        if name == "index.html":
            yield name, _index(asset.content.decode()).encode()
        else:
            yield f"page/{name}", asset.content
    for name, asset in assets.examples().items():
        yield f"examples/{name}", asset.content
    for entry in (resources.files(__package__) / "pwa").iterdir():
        yield entry.name, entry.read_bytes()
    for path in runtime.iterdir():
        if path.is_file() and path.suffix in {".js", ".wasm", ".txt"}:
            yield f"runtime/{path.name}", path.read_bytes()
    for name in (folder.CONFIG, folder.CARD, folder.NETWORK):
        yield f"runtime/model/{name}", (model.folder / name).read_bytes()


def _index(html: str) -> str:
    """Return the page with the recogniser in the browser in place of the server's, under its policy."""
    for part in (_SERVED, _CHARSET):
        if html.count(part) != 1:
            raise AssertionError(f"index.html has no {part!r}")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
    return html.replace(_SERVED, _STATIC).replace(_CHARSET, _CHARSET + policy)
