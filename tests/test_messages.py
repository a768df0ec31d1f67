"""The catalogue of messages: complete, filled in alike in all languages, and nothing of it elsewhere."""

from __future__ import annotations

import ast
import json
import re
from itertools import product
from pathlib import Path
from string import Formatter

import pytest

from conftest import invoke
from whoplays.audio import quality
from whoplays.audio.parts import Gap
from whoplays.serve import assets
from whoplays.taxonomy.messages import LANGUAGES, REASONS, messages, speaker, translated, translated_line

SOURCE = Path(__file__).parents[1] / "src" / "whoplays"
ALL = [(group, key) for group, known in messages().items() for key in known]
POLISH = re.compile("[ąćęłńóśźżĄĆĘŁŃÓŚŹŻ]")
#: Files that hold words of other languages than English: the catalogue, and names of labels.
MULTILINGUAL = {"taxonomy/messages.json", "taxonomy/labels.toml"}
#: Groups whose English is found in what was printed, and translated.
MATCHED = ("error", "reason", "terminal")
#: Errors about recordings, and the modules beside audio/ that raise them.
ABOUT_RECORDINGS = {"AudioError", "MissingFileError", "NotFiniteError", "ReadError"}
RAISERS = [*(SOURCE / "inference").glob("[!hs]*.py"), *(SOURCE / "results").glob("*.py")]
RAISERS += [SOURCE / "storage/cache.py", SOURCE / "model/folder.py", SOURCE / "evaluation/evaluate.py"]
PAGE = SOURCE / "serve" / "page"
WEB = Path(__file__).parents[1] / "web"
#: Modules whose output people read in a language of their choice.
SPOKEN = [
    "results/formats/text.py",
    "evaluation/page.py",
    "evaluation/plots.py",
    "results/plot.py",
    "results/terminal.py",
    *sorted(path.relative_to(SOURCE).as_posix() for path in (SOURCE / "results" / "html").glob("*.py")),
]
#: Words of matplotlib.
DRAWING = {"lower center", "upper center", "offset points"}


def places(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


@pytest.mark.parametrize("group, key", ALL)
def test_a_message_is_there_in_every_language_with_the_same_values(group: str, key: str) -> None:
    message = messages()[group][key]
    assert tuple(message) == LANGUAGES and all(message.values())
    assert places(message["en"]) == places(message["pl"])


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*")), ids=lambda path: path.name)
def test_other_languages_are_in_the_catalogue_alone(path: Path) -> None:
    if path.suffix in {".py", ".js", ".html", ".json", ".toml"} and "pretrained" not in path.parts:
        name = path.relative_to(SOURCE).as_posix()
        assert name in MULTILINGUAL or not POLISH.search(path.read_text(encoding="utf-8")), name


def sentences(path: Path) -> list[str]:
    """Return the texts of a module that read like words to people: two words or more, no docstring, no error, no HTML."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    left_out = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Raise) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            left_out.add(id(node.value))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "STYLE":
            left_out |= {id(part) for part in ast.walk(node)}
    texts = (
        n.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in left_out
    )
    return [
        text
        for text in texts
        if text not in DRAWING and re.fullmatch(r"[^<>={};]*[A-Za-z]{2,} [a-z]{2,}[^<>={};]*", text)
    ]


@pytest.mark.parametrize("name", SPOKEN)
def test_what_people_read_comes_from_the_catalogue(name: str) -> None:
    assert sentences(SOURCE / name) == []


def test_the_search_for_words_finds_them(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text('"""A doc string."""\nprint("two words", f"none of {3} at all")\n')
    assert sentences(tmp_path / "one.py") == ["two words", "none of ", " at all"]


def test_each_message_of_the_catalogue_is_used() -> None:
    python = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    script = "\n".join(path.read_text(encoding="utf-8") for path in [*PAGE.glob("js/*.js"), PAGE / "index.html"])
    package = "\n".join(path.read_text(encoding="utf-8") for path in WEB.glob("src/*.ts"))
    examples = {path.name for path in (SOURCE / "examples").glob("*.ogg")}
    unused = [
        (group, key)
        for group, key in ALL
        if not key.endswith((".advice", ".meaning"))
        and group not in MATCHED
        and key not in examples
        and not re.search(f"[\"']{re.escape(key)}[\"']", {"page": script, "browser": package}.get(group, python))
    ]
    assert unused == []


def spoken(path: Path) -> list[str]:
    """Return a module's texts, values in them as {}."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    filled = [
        "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
    ]
    return filled + [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


@pytest.mark.parametrize("group", MATCHED)
def test_what_is_translated_as_it_is_printed_is_printed_so(group: str) -> None:
    texts = {text for path in SOURCE.rglob("*.py") for text in spoken(path)}
    counted = re.compile(r"\{count\} (file|recording)s?|\b1 (file|recording)\b")  # by errors.counted
    texts |= {message["en"] for message in messages()["warning"].values()}  # which an error may hold
    for key, message in messages()[group].items():
        english = counted.sub("{}", message["en"])
        fits = re.compile(re.sub(r"\\\{\w*\\\}", ".+?", re.escape(english)))
        if key.startswith(("library_", "system_")):  # words of others
            continue
        found = fits.search if group == "reason" else fits.fullmatch
        assert [text for text in texts if found(text) or found(text.rpartition(": ")[2])], (group, key)


def composed(path: Path) -> list[str]:
    """Return the texts of a module's errors about recordings, of causes of gaps, and of what packages are needed for.

    Values in them are 7.
    """
    found: list[ast.expr] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in ABOUT_RECORDINGS:
            found.append(node.args[0])
        elif name in ("Failure", "Gap", "note", "broken"):
            found.append(node.args[-1])
        elif name == "needed" and not re.match(r"--|whoplays|\w+\(", str(getattr(node.args[0], "value", "--"))):
            found.append(node.args[0])
    texts = []
    for expression in found:
        if isinstance(expression, ast.Constant):
            texts.append(str(expression.value))
        elif isinstance(expression, ast.JoinedStr):
            texts.append("".join(str(p.value) if isinstance(p, ast.Constant) else "7" for p in expression.values))
        else:  # passed on from where it was made; a text that is chosen or put together first would not be found
            assert isinstance(expression, (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.BoolOp)), ast.dump(
                expression
            )
    return texts


@pytest.mark.parametrize("path", [*(SOURCE / "audio").glob("*.py"), *RAISERS], ids=lambda path: path.name)
def test_every_error_about_a_recording_can_be_said_in_polish(path: Path) -> None:
    for text in composed(path):
        if not text.isdigit():
            said = [translated(text, "pl", group) for group in ("error", "reason")]
            assert any(one != text for one in said), f"{text!r} is in neither group of the catalogue"


def test_the_page_knows_the_same_values_that_are_messages() -> None:
    script = (PAGE / "js" / "warnings.js").read_text(encoding="utf-8")
    assert re.search(r"REASONS = (\[.*\]);", script)[1] == json.dumps(list(REASONS))


def test_a_message_within_a_message_is_translated_as_well() -> None:
    for message in messages()["error"].values():
        others = dict.fromkeys(places(message["en"]), "7")
        for inner, reason in product(places(message["en"]) & set(REASONS), messages()["reason"].values()):
            values = dict.fromkeys(places(reason["en"]), "7")
            text = message["en"].format(**others | {inner: reason["en"].format(**values)})
            polish = message["pl"].format(**others | {inner: reason["pl"].format(**values)})
            assert translated_line(f"a: b/c, d.wav: {text}", "pl") == f"a: b/c, d.wav: {polish}"
    text = (
        "a.wav: is damaged: it could not be decoded from 1.00 s to 2.50 s, from 3.00 s on (the file ends there); "
        "without strict reading the rest of it can be used"
    )
    assert "od 1.00 s do 2.50 s, od 3.00 s (tam kończy się plik)" in translated_line(text, "pl")


def test_the_command_speaks_polish_of_errors_and_of_what_it_wrote(tiny_model: Path, duet: Path, tmp_path: Path) -> None:
    (tmp_path / "a, b: c.wav").touch()
    paths = (tmp_path / "a, b: c.wav", tmp_path / "none.wav", duet)
    done = invoke("predict", *paths, "-m", tiny_model, "-o", tmp_path / "r.jsonl", "--lang", "pl", "-j", "1")
    polish = messages()["error"]
    assert f"{paths[0]}: {polish['empty']['pl']}" in done.stderr
    assert f"none.wav: {polish['missing_file']['pl']}" in done.stderr
    assert f"Zapisano: {tmp_path / 'r.jsonl'}; nagrania: 3" in done.stderr and "2 z 3" in done.stderr
    assert "is empty (0 bytes)" in (tmp_path / "r.jsonl").read_text(), "results hold English, as programs read them"
    assert "is empty" in invoke("predict", paths[0], "-m", tiny_model).stderr, "of one call alone"


def test_the_page_asks_for_messages_that_there_are_and_shows_the_english_ones_before_its_scripts_run() -> None:
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    shown = dict(re.findall(r'data-t="(\w+)"[^>]*>([^<]+)<', html)) | dict(
        re.findall(r'data-t-label="(\w+)" aria-label="([^"]+)"', html)
    )
    assert len(shown) > 30
    known = {key: message["en"] for key, message in messages()["page"].items()}
    assert {key: text for key, text in shown.items() if known.get(key) != text} == {}
    used = {key for path in PAGE.glob("js/*.js") for key in re.findall(r"\bt\(\"([^\"]+)\"", path.read_text("utf-8"))}
    assert len(used) > 50 and used <= set(known)


def test_the_page_gets_the_catalogue() -> None:
    assert json.loads(assets.page()["messages.json"].content) == messages()


@pytest.mark.parametrize(
    "gaps, polish",
    [
        ([Gap(1.0, 2.5, "bad packet")], "nie udało się odczytać: od 1.00 s do 2.50 s (bad packet)"),
        ([Gap(1.0, 2.5, "x"), Gap(3.0, None, "x")], "nie udało się odczytać: od 1.00 s do 2.50 s, od 3.00 s (x)"),
    ],
)
def test_warnings_are_translated_with_their_values(gaps: list[Gap], polish: str) -> None:
    (warning,) = quality.about_gaps(gaps)
    assert warning.within("pl").startswith(polish)
    assert warning.within("en") == str(warning) == f"{warning.message}; {warning.advice}"


@pytest.mark.parametrize("key", [key for group, key in ALL if group == "warning"])
def test_every_warning_can_be_said_in_polish(key: str) -> None:
    values = dict.fromkeys(places(messages()["warning"][key]["en"]), "7")
    assert translated(speaker("warning")(key, **values), "pl", "warning") == speaker("warning", "pl")(key, **values)


def test_a_text_that_no_message_fits_stays_as_it_is() -> None:
    assert translated("made by another version", "pl", "warning") == "made by another version"
