"""Families and instruments: id, names in English and Polish. Label sets are data: a model carries its own."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError


@dataclass(frozen=True)
class Label:
    """One thing that can be heard: an id for scripts and a display name for each language."""

    id: str
    en: str
    pl: str

    def name(self, lang: str = "en") -> str:
        """Return the display name in `lang` ("en" or "pl")."""
        return self.pl if lang == "pl" else self.en

    def to_dict(self) -> dict[str, str]:
        """Return the label as a model's `config.json` stores it."""
        return {"id": self.id, "en": self.en, "pl": self.pl}


#: The five families, always in this order.
FAMILIES: tuple[Label, ...] = (
    Label("brass", "brass", "instrumenty dęte blaszane"),
    Label("drums", "drums", "perkusja"),
    Label("guitar", "guitar", "gitara"),
    Label("piano", "piano", "fortepian"),
    Label("strings", "strings", "smyczki"),
)

FAMILY_IDS: tuple[str, ...] = tuple(label.id for label in FAMILIES)

#: What an instrument's name says against the family it is filed under, in a manifest with a column `instrument`:
#: 1 it is that family, 0 it is not, None it is left open and counts neither way.
INSTRUMENT_RULES: dict[str, dict[str, int | None]] = {
    **dict.fromkeys(("bass-electric", "bass-electric-fingered", "bass-guitar"), {"guitar": 0}),
    **dict.fromkeys(("banjo", "mandolin", "ukulele"), {"guitar": None}),
    **dict.fromkeys(("harpsichord", "clavinet"), {"piano": None}),
    **dict.fromkeys(("synth-brass",), {"brass": None}),
    **dict.fromkeys(("synth-strings",), {"strings": None}),
    "drum-machine": {"drums": 1},
    **dict.fromkeys(
        (
            *("timpani", "bongo", "conga", "djembe", "dunun", "cajon", "surdo", "cuica", "tabla", "hand-drum"),
            *("maracas", "cabasa", "shaker", "tambourine", "sleigh-bells", "guiro", "clap", "finger-snap"),
            *("cowbell", "percussion", "drumsticks"),
        ),
        {"drums": None},
    ),
}

_BY_ID = {label.id: label for label in FAMILIES}


def label_for(label_id: str) -> Label:
    """Return the known label of that id, or a new one that is displayed by its id (a user's own class)."""
    if not label_id or any(character in label_id for character in ';,\n\r"') or label_id != label_id.strip():
        raise UsageError(
            f"{label_id!r} cannot be a label id: it is empty or holds , ; a quote or white space at an end"
        )
    return _BY_ID.get(label_id) or Label(label_id, label_id, label_id)


@dataclass(frozen=True)
class AudioSetRule:
    """How AudioSet's labels make one family. Each set holds AudioSet ids; their ontology descendants count as well.

    takes_in: a clip with one of these is an example of the family.
    keeps_out: what is no part of the family. A clip that carries one is not taken as an example (the report did that
    for piano alone: organ), and its labels are taken from `takes_in` where they lie below it (bass guitar in guitar).
    left_open: counted neither for nor against, stronger than both. A clip that carries one and nothing of `takes_in`
    is marked as unsure for the family instead of as an example without it.
    """

    takes_in: dict[str, str]
    keeps_out: dict[str, str]
    left_open: dict[str, str]


#: AudioSet id -> AudioSet's name for it, for every family. Celesta, viola, tuba and synthesiser brass have no label of
#: their own in AudioSet; "Musical instrument" and "Music" above them all are said of nearly everything, and ignored.
AUDIOSET: dict[str, AudioSetRule] = {
    "brass": AudioSetRule(
        takes_in={"/m/01kcd": "Brass instrument"},  # French horn, trumpet, trombone, cornet, bugle
        keeps_out={
            "/m/06ncr": "Saxophone",
            "/m/085jw": "Wind instrument, woodwind instrument",  # flute, saxophone, clarinet, oboe, bassoon
        },
        left_open={"/m/05pd6": "Orchestra"},  # has brass more often than it is labelled
    ),
    "drums": AudioSetRule(
        takes_in={
            "/m/02hnl": "Drum kit",  # with drum machine
            "/m/0bm02": "Bass drum",
            "/m/06rvn": "Snare drum",  # with rimshot and drum roll
            "/m/01qbl": "Cymbal",  # with hi-hat and crash cymbal
        },
        keeps_out={
            "/m/0j45pbj": "Mallet percussion",
            "/m/0395lw": "Bell",  # with chimes and tubular bells
            "/m/016622": "Tubular bells",
        },
        left_open={
            "/m/011k_j": "Timpani",
            "/m/01p970": "Tabla",
            "/m/0239kh": "Cowbell",  # AudioSet files it under bells as well; it is also part of many kits
            "/m/01sm1g": "Wood block",
            "/m/07brj": "Tambourine",
            "/m/05r5wn": "Rattle (instrument)",  # with maraca
            "/m/0mbct": "Gong",
            "/m/0l15bq": "Clapping",
            "/m/05pd6": "Orchestra",
        },
    ),
    "guitar": AudioSetRule(
        takes_in={"/m/0342h": "Guitar"},  # electric, acoustic, steel and slide guitar, tapping, strum
        keeps_out={"/m/018vs": "Bass guitar", "/m/03m5k": "Harp"},
        left_open={"/m/018j2": "Banjo", "/m/04rzd": "Mandolin", "/m/07xzm": "Ukulele"},
    ),
    "piano": AudioSetRule(
        takes_in={"/m/05r5c": "Piano"},  # with electric piano and Rhodes piano
        keeps_out={
            "/m/013y1f": "Organ",  # electronic and Hammond organ
            "/m/0mkg": "Accordion",
            "/m/0l14qv": "Synthesizer",  # with sampler and Mellotron
        },
        left_open={"/m/03q5t": "Harpsichord", "/m/025cbm": "Clavinet"},
    ),
    "strings": AudioSetRule(
        takes_in={"/m/0l14_3": "Bowed string instrument"},  # violin, cello, double bass, sections, pizzicato
        keeps_out={
            "/m/03m5k": "Harp",
            "/m/0342h": "Guitar",  # with bass guitar
            "/m/01bns_": "Zither",  # of the clips labelled Pizzicato, 45 % are zithers and 42 % harps
        },
        left_open={"/m/05pd6": "Orchestra"},
    ),
}

#: Labels so broad that they hold a family without naming it: a clip with one and nothing narrower is unsure for it.
AUDIOSET_BROAD: dict[str, tuple[str, ...]] = {
    "/m/0l14md": ("drums",),  # Percussion
    "/m/026t6": ("drums",),  # Drum: a kit's, or a hand drum
    "/m/0fx80y": ("guitar",),  # Plucked string instrument
    "/m/05148p4": ("piano",),  # Keyboard (musical): with piano sounds or others
}
