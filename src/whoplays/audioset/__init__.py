"""AudioSet's lists and ontology -> a plan of clips to fetch; how labels hang together.

from whoplays.audioset import Draw, Ontology, SegmentList, choose_classes, make_plan, write_plan

ontology = Ontology.open("ontology.json")
classes = choose_classes(ontology, families=["piano"])
plan = make_plan(SegmentList("balanced_train_segments.csv"), classes, Draw(per_class=100))
write_plan("plan.csv", plan)
"""

from __future__ import annotations

from .classes import ClipClass, choose_classes
from .dependencies import Dependencies, find_dependencies
from .lists import Malformed, Segment, SegmentList
from .ontology import Ontology
from .plan import DEFAULT_RESERVE, ClassTally, Draw, Plan, PlannedClip, make_plan
from .planfile import read_plan, reserve_path, write_plan

__all__ = [
    "DEFAULT_RESERVE",
    "ClassTally",
    "ClipClass",
    "Dependencies",
    "Draw",
    "Malformed",
    "Ontology",
    "Plan",
    "PlannedClip",
    "Segment",
    "SegmentList",
    "choose_classes",
    "find_dependencies",
    "make_plan",
    "read_plan",
    "reserve_path",
    "write_plan",
]
