"""AudioSet's lists and ontology -> a plan of clips to fetch; how labels hang together.

from whoplays.sources.audioset import Draw, Ontology, SegmentList, choose_classes, plan_from_lists, write_plan

ontology = Ontology.open(Path("ontology.json"))
classes = choose_classes(ontology, families=["piano"])
plan = plan_from_lists([SegmentList(Path("balanced_train_segments.csv"))], classes, Draw(per_class=100))
write_plan(Path("plan.csv"), plan)
"""

from __future__ import annotations

from .classes import choose_classes
from .dependencies import Dependencies, find_dependencies
from .lists import Segment, SegmentList
from .ontology import Ontology
from .plan import Draw, PlannedClip, make_plan, plan_from_lists
from .planfile import read_plan, reserve_path, write_plan

__all__ = [
    "Dependencies",
    "Draw",
    "Ontology",
    "PlannedClip",
    "Segment",
    "SegmentList",
    "choose_classes",
    "find_dependencies",
    "make_plan",
    "plan_from_lists",
    "read_plan",
    "reserve_path",
    "write_plan",
]
