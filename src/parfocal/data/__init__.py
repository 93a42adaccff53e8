"""Focal stacks to learn from: labelled, cut into patches, split without leaks."""

from parfocal.data.patches import Patch, ShortStack, ShortStackPatches, useful_pairs
from parfocal.data.splits import Split, joined_specimens, plane_marks, require_apart, split_stacks
from parfocal.data.stacks import KeptPlanes, LabelledStack

__all__ = [
    "KeptPlanes",
    "LabelledStack",
    "Patch",
    "ShortStack",
    "ShortStackPatches",
    "Split",
    "joined_specimens",
    "plane_marks",
    "require_apart",
    "split_stacks",
    "useful_pairs",
]
