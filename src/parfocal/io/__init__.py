"""Open, find and write focal stacks: the only room that knows file formats and lazy arrays."""

from parfocal.io.finding import StackSource, find_stacks
from parfocal.io.masks import read_masks, write_masks
from parfocal.io.meshes import write_mesh
from parfocal.io.opening import open_stack
from parfocal.io.writing import write_stack

__all__ = [
    "StackSource",
    "find_stacks",
    "open_stack",
    "read_masks",
    "write_masks",
    "write_mesh",
    "write_stack",
]
