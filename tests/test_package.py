"""What is handed to people: the wheel, what is in it and nothing else; the licences of what it brings; the lock."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from whoplays.storage.files import sha256_of

ROOT = Path(__file__).parents[1]
LOCK, SBOM, LICENCES = (
    ROOT / "requirements-dev.lock",
    ROOT / "docs" / "reference" / "sbom.cdx.json",
    ROOT / "docs" / "reference" / "licences.md",
)
KINDS = {
    ".py",
    ".toml",
    ".typed",
    ".npz",
    ".md",
    ".json",
    ".onnx",
    ".ogg",
    ".html",
    ".css",
    ".js",
    ".svg",
    ".webmanifest",
    ".woff2",
    ".txt",
}
MAX_WHEEL_BYTES = 12 << 20


def checkout(folder: Path, *, mask: int) -> Path:
    """A copy of what a wheel is built from, as another person's checkout would have it: other times, other rights."""
    before = os.umask(mask)
    try:
        folder.mkdir()
        for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"):
            shutil.copyfile(ROOT / name, folder / name)
        left_out = shutil.ignore_patterns("__pycache__", ".*.part")
        shutil.copytree(ROOT / "src", folder / "src", ignore=left_out, copy_function=shutil.copyfile)
    finally:
        os.umask(before)
    return folder


def built(folder: Path) -> Path:
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next((folder / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(checkout(tmp_path_factory.mktemp("wheel") / "a", mask=0o022))


def test_two_builds_give_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    other = built(checkout(tmp_path / "in another place", mask=0o077))
    assert sha256_of(other) == sha256_of(wheel) and other.name == wheel.name


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
    assert {name for name in names if not name.startswith("whoplays/")} == {"beetsplug/whoplays.py"}
    assert {Path(name).suffix for name in names} <= KINDS
    assert not [name for name in names if re.search(r"test|conftest|bench(?!mark)|/\.|\.part$|__pycache__", name)]
    tracked = subprocess.run(["git", "ls-files", "src/whoplays"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode == 0 and tracked.stdout:  # in a copy without history there is nothing to compare with
        missing = {line.removeprefix("src/") for line in tracked.stdout.splitlines()} - names
        assert not {name for name in missing if (ROOT / "src" / name).exists()}
    assert wheel.stat().st_size < MAX_WHEEL_BYTES


def test_the_wheel_holds_the_model_the_examples_and_the_page(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        config = json.loads(file.read("whoplays/pretrained/default/config.json"))
        network = file.open("whoplays/pretrained/default/model.onnx").read()
        examples = json.loads(file.read("whoplays/examples/examples.json"))
    assert config["sha256"]["model.onnx"] == hashlib.sha256(network).hexdigest()
    assert "whoplays/pretrained/default/card.md" in names and "whoplays/serve/page/index.html" in names
    listed = {f"whoplays/examples/{name}" for name in re.findall(r'"([\w-]+\.ogg)"', json.dumps(examples))}
    assert listed and listed == {name for name in names if name.endswith(".ogg")}


def script(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / name)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_version_everywhere() -> None:
    module = script("scripts/version.py")
    assert module.stale(ROOT, module.version()) == []


def test_a_version_that_was_forgotten_somewhere_is_reported_and_written(tmp_path: Path) -> None:
    module = script("scripts/version.py")
    (tmp_path / "web").mkdir()
    (tmp_path / "contrib" / "conda").mkdir(parents=True)
    for name in (*(place.split(" ")[0] for place in module.PLACES), "CHANGELOG.md"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    assert len(module.stale(tmp_path, "9.9.9")) == 6
    module.write(tmp_path, "9.9.9")
    assert [line.split(":")[0] for line in module.stale(tmp_path, "9.9.9")] == ["CHANGELOG.md"]


def test_a_release_is_looked_through(wheel: Path, tmp_path: Path) -> None:
    """A wheel and a source archive with one fault each are refused by that fault."""
    module = script("scripts/check_dist.py")

    def archive(*left_out: str, **more: bytes) -> Path:
        path = Path(tempfile.mkdtemp(dir=tmp_path)) / "whoplays-0.tar.gz"
        with tarfile.open(path, "w:gz") as file:
            for name in [*(name for name in module.IN_SDIST if name not in left_out), *more]:
                member = tarfile.TarInfo(f"whoplays-0/{name}")
                member.size = len(more.get(name, b""))
                file.addfile(member, io.BytesIO(more.get(name, b"")))
        return path

    def changed(name: str, data: bytes | None) -> Path:
        path = Path(tempfile.mkdtemp(dir=tmp_path)) / wheel.name
        with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(path, "w") as new:
            for one in old.namelist():
                if not one.endswith(name):
                    new.writestr(one, old.read(one))
            if data is not None:
                new.writestr(name, data)
        return path

    assert module.faults(wheel, archive()) == []
    for made, expected in (
        ((wheel, archive("LICENSE")), "LICENSE is missing"),
        ((wheel, archive(**{"node_modules/a.js": b""})), "node_modules/a.js does not belong"),
        ((changed("whoplays/py.typed", None), archive()), "py.typed is missing"),
        ((changed("whoplays/x.pyc", b""), archive()), "x.pyc does not belong"),
        ((changed("whoplays/x.txt", b"/home/ann/src/x"), archive()), "names a place of this machine"),
        ((changed("licenses/LICENSE", None), archive()), "its licence file is missing"),
        ((changed("whoplays/x.bin", os.urandom(13 << 20)), archive()), "the limit is 13 MB"),
    ):
        assert any(expected in line for line in module.faults(*made)), expected


def test_the_message_of_a_tag_is_the_highlights() -> None:
    module = script("scripts/check_dist.py")
    text = "# C\n\n## 2.0.0 - 2030-01-01\n\nHello.\n\n### Highlights\n\n- One.\n\n### More\n\n- Two.\n\n## 1.0.0 - 2029-01-01\n"
    assert module.tag_message("2.0.0", text) == "whoplays 2.0.0\n\nHello.\n\n- One.\n"
    for version in ("1.0.0", "3.0.0"):
        with pytest.raises(SystemExit, match=version):
            module.tag_message(version, text)


def test_the_readme_of_an_index_has_links_that_need_no_checkout() -> None:
    hook = script("hatch_build.py")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    relative = re.compile(r"\]\((?!https?:|#)[^)]+\)")
    assert relative.search(text)
    where = hook.for_index(text, "https://example.org/a/b", "v1")
    assert not relative.search(where) and "https://example.org/a/b/raw/v1/docs/pictures/page.png" in where
    without = hook.for_index(text, "", "v1")
    assert not relative.search(without) and "](docs" not in without and "measurements" in without
    nested = hook.for_index("[![a](b.svg)](c.md) [x](#y) [z](https://e.org)", "h", "t")
    assert nested == "[![a](h/raw/t/b.svg)](h/blob/t/c.md) [x](#y) [z](https://e.org)"


def test_the_conda_recipe_requires_what_the_package_requires() -> None:
    """conda-forge calls two packages otherwise; the rest, versions included, is pyproject.toml's."""
    yaml = pytest.importorskip("yaml")
    recipe = yaml.safe_load((ROOT / "contrib" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    named = {"soundfile": "pysoundfile", "soxr": "soxr-python"}
    wanted = {
        f"{named.get(one.name, one.name)} {one.specifier}" for one in requirements("completion") if one.name != "shtab"
    }
    assert set(recipe["requirements"]["run"]) - {"python >=${{ python_min }}"} == wanted
    assert f"python>={recipe['context']['python_min']}" in {f"python{project_table()['requires-python']}"}


def test_the_conda_recipe_gets_the_checksum_of_the_source_archive(tmp_path: Path) -> None:
    module = script("scripts/check_dist.py")
    template = (ROOT / "contrib" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    sdist = tmp_path / f"whoplays-{script('scripts/version.py').version()}.tar.gz"
    sdist.write_bytes(b"an archive")
    made = module.conda_recipe(sdist, template)
    assert f'sha256: "{sha256_of(sdist)}"' in made and made.startswith("schema_version: 1\n")
    with pytest.raises(SystemExit, match=r"not of whoplays-0\.1\.tar\.gz"):
        module.conda_recipe(tmp_path / "whoplays-0.1.tar.gz", template)
    with pytest.raises(SystemExit, match="no place for the checksum"):
        module.conda_recipe(sdist, made)


def test_the_conda_recipe_can_be_rendered() -> None:
    builder = pytest.importorskip("rattler_build", reason="py-rattler-build is not installed")
    text = (ROOT / "contrib" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    rendered = builder.Stage0Recipe.from_yaml(text)
    (made,) = rendered.render(builder.VariantConfig(), None)
    assert "whoplays" in str(made)
    with pytest.raises(Exception, match="unknown field"):
        builder.Stage0Recipe.from_yaml(text.replace("noarch:", "noarhc:"))


# --- what comes along


def licences():
    spec = importlib.util.spec_from_file_location("licences", ROOT / "scripts" / "licences.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["licences"] = module
    spec.loader.exec_module(module)
    return module


def test_every_licence_is_known_and_allowed() -> None:
    module = licences()
    found = module.installed()
    assert len(found) > 20 and {"numpy", "av", "soundfile"} <= set(found)
    assert module.problems(found) == []


def test_a_licence_that_is_unknown_or_not_allowed_is_reported() -> None:
    module = licences()
    found = {
        "a": module.Found("a", "", {""}),
        "b": module.Found("b", "GPL-3.0-or-later", {"serve"}),
        "c": module.Found("c", "Homemade", {"dev"}),
        "d": module.Found("d", "MIT AND GPL-2.0-only", {"dev"}),
        "e": module.Found("e", "Apache-2.0 OR GPL-2.0-only", {""}),
        "f": module.Found("f", "Apache-2.0 WITH LLVM-exception AND (MIT OR BSD-3-Clause)", {""}),
        "mutagen": module.Found("mutagen", "GPL-2.0-or-later", {"", "tags"}),
    }
    assert [line.split(":")[0] for line in module.problems(found)] == ["a", "b", "c", "d", "mutagen"]


def locked() -> dict[str, str]:
    """Package -> version in the lock; each is checked to be pinned and to have its hashes."""
    text = LOCK.read_text(encoding="utf-8")
    found = {}
    for entry in re.split(r"\n(?=\S)", text):
        first = entry.splitlines()[0]
        pinned = re.match(r"([a-z0-9-]+)==(\S+)", first)
        assert pinned, first
        assert entry.count("--hash=sha256:") >= 1, first
        found[pinned[1]] = pinned[2]
    return found


def test_the_lock_pins_everything_with_hashes_and_names_no_place() -> None:
    versions = locked()
    assert {"numpy", "tensorflow", "pytest", "uvicorn"} <= set(versions)
    assert not re.search(r"https?:|--(extra-)?index|--find-links|file:| @ ", LOCK.read_text(encoding="utf-8"))


def project_table() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(extra: str) -> list[Requirement]:
    """What pyproject.toml asks for in the plain install and an extra, the extras that it names in turn included."""
    project = project_table()
    found, left = [Requirement(one) for one in project["dependencies"]], [extra]
    for name in left:
        for one in map(Requirement, project["optional-dependencies"][name]):
            if one.name == "whoplays":
                left += sorted(one.extras - set(left))
            else:
                found.append(one)
    return found


def test_the_lock_the_licences_and_the_sbom_hold_every_requirement() -> None:
    versions, listed = locked(), LICENCES.read_text(encoding="utf-8")
    components = {canonicalize_name(one["name"]) for one in json.loads(SBOM.read_text(encoding="utf-8"))["components"]}
    required = requirements("dev")
    assert {"numpy", "tensorflow", "pytest", "ray", "fastapi"} <= {one.name for one in required}
    stale = [
        str(one)
        for one in required
        if not one.specifier.contains(versions.get(canonicalize_name(one.name), "0"), prereleases=True)
        or f"| {canonicalize_name(one.name)} |" not in listed
        or canonicalize_name(one.name) not in components
    ]
    assert not stale, "run .ci/run lock"


def test_the_list_of_licences_and_the_sbom_are_of_the_lock() -> None:
    versions = locked()
    listed = set(re.findall(r"^\| ([a-z0-9-]+) \|", LICENCES.read_text(encoding="utf-8"), re.MULTILINE)) - {"package"}
    bom = json.loads(SBOM.read_text(encoding="utf-8"))
    assert bom["bomFormat"] == "CycloneDX"
    components = {one["name"].lower().replace("_", "-").replace(".", "-"): one["version"] for one in bom["components"]}
    assert listed <= set(versions) and listed - set(components) == set()
    text = LOCK.read_text(encoding="utf-8")
    assert not [f"{n}=={v}" for n, v in components.items() if n in versions and f"\n{n}=={v}" not in f"\n{text}"]
