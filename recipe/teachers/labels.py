"""Which classes of each teacher speak for each label of the tree.

Only what a class says by itself: where a class holds more than the label (AudioSet's "Percussion" holds drum kits,
"Keyboard (musical)" organs, "Plucked string instrument" guitars) it speaks for none. What the tree calls ambiguous for a
family (rap, banjo for guitar, harpsichord, steelpan, string synthesisers) speaks for none as well. A label without a
class in a teacher is absent from its map; viola, tuba, oboe and bassoon are in no teacher.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from whoplays.taxonomy.catalogue import catalogue

Map = Mapping[str, tuple[str, ...]]

#: All labels of the tree, the columns of every array over labels: families, then instruments.
LABELS: Final = catalogue().ids

#: AudioSet's classes by their display names.
AUDIOSET: Final[Map] = {
    "brass": ("Brass instrument", "French horn", "Trumpet", "Trombone"),
    "drums": (
        *("Drum kit", "Drum machine", "Drum", "Snare drum", "Rimshot", "Drum roll", "Bass drum", "Cymbal"),
        "Hi-hat",
    ),
    "guitar": (
        *("Guitar", "Electric guitar", "Acoustic guitar", "Steel guitar, slide guitar"),
        *("Tapping (guitar technique)", "Strum"),
    ),
    "piano": ("Piano", "Electric piano"),
    # Not "Pizzicato": most clips that carry it are zithers and harps.
    "strings": ("Bowed string instrument", "String section", "Violin, fiddle", "Cello", "Double bass"),
    "voice": (
        *("Singing", "Choir", "Yodeling", "Chant", "Male singing", "Female singing", "Child singing"),
        *("Synthetic singing", "Vocal music", "A capella"),
    ),
    # Not "Double bass", which may be plucked (bass) or bowed (strings).
    "bass": ("Bass guitar",),
    "woodwinds": ("Wind instrument, woodwind instrument", "Flute", "Saxophone", "Clarinet"),
    "organ": ("Organ", "Electronic organ", "Hammond organ"),
    "synthesizer": ("Synthesizer",),
    "accordion": ("Accordion", "Harmonica"),
    "mallets": ("Mallet percussion", "Marimba, xylophone", "Glockenspiel", "Vibraphone"),
    "plucked": ("Banjo", "Sitar", "Mandolin", "Zither", "Ukulele", "Harp"),
    "percussion": (
        *("Timpani", "Tabla", "Wood block", "Tambourine", "Rattle (instrument)", "Maraca", "Gong", "Tubular bells"),
        *("Bell", "Jingle bell", "Chime"),
    ),
    "trumpet": ("Trumpet",),
    "trombone": ("Trombone",),
    "french-horn": ("French horn",),
    "cymbals": ("Cymbal", "Hi-hat"),
    "acoustic-guitar": ("Acoustic guitar",),
    "electric-guitar": ("Electric guitar",),
    # AudioSet's "Piano" holds the electric ones too, but most of its clips are acoustic.
    "acoustic-piano": ("Piano",),
    "electric-piano": ("Electric piano",),
    "violin": ("Violin, fiddle",),
    "cello": ("Cello",),
    "double-bass": ("Double bass",),
    "saxophone": ("Saxophone",),
    "flute": ("Flute",),
    "clarinet": ("Clarinet",),
    "harp": ("Harp",),
    "banjo": ("Banjo",),
    "mandolin": ("Mandolin",),
    "ukulele": ("Ukulele",),
}

#: YAMNet has AudioSet's classes but these (and others that speak for no label).
_NOT_IN_YAMNET: Final = ("Male singing", "Female singing")

YAMNET: Final[Map] = {
    label: tuple(name for name in names if name not in _NOT_IN_YAMNET) for label, names in AUDIOSET.items()
}

JAMENDO: Final[Map] = {
    "drums": ("instrument---drums", "instrument---drummachine"),
    "guitar": ("instrument---guitar", "instrument---acousticguitar", "instrument---electricguitar"),
    # Not "keyboard", which its uploaders say of synthesisers as well.
    "piano": ("instrument---piano", "instrument---electricpiano"),
    "strings": ("instrument---strings", "instrument---violin"),
    "voice": ("instrument---voice",),
    "bass": ("instrument---bass",),
    "synthesizer": ("instrument---synthesizer",),
    "acoustic-guitar": ("instrument---acousticguitar",),
    "electric-guitar": ("instrument---electricguitar",),
    "acoustic-piano": ("instrument---piano",),
    "electric-piano": ("instrument---electricpiano",),
    "violin": ("instrument---violin",),
}

MTT: Final[Map] = {
    "drums": ("drums",),
    "guitar": ("guitar",),
    "piano": ("piano",),
    "strings": ("strings", "violin", "cello"),
    # Tags of what is sung; "female", "man" and the like say no more of it.
    "voice": (
        *("vocal", "vocals", "singing", "voice", "male vocal", "female vocal", "male voice", "female voice", "choir"),
        *("choral", "opera"),
    ),
    "woodwinds": ("flute",),
    "synthesizer": ("synth",),
    "plucked": ("harp", "sitar"),
    "violin": ("violin",),
    "cello": ("cello",),
    "flute": ("flute",),
    "harp": ("harp",),
}

#: The map of each teacher, by the teacher's name.
MAPS: Final[Mapping[str, Map]] = {"mn04": AUDIOSET, "yamnet": YAMNET, "jamendo_musicnn": JAMENDO, "mtt_musicnn": MTT}
