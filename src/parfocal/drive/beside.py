"""Images beside an answer: searches that follow one peak must see what else there is."""

from __future__ import annotations

from parfocal.core.results import Status
from parfocal.drive.checks import judge
from parfocal.drive.search import Eye, Proposal

# Places beside the answer, in depths of field: a phase object has its other lobe there.
BESIDE_DOF = (-4.0, -2.0, -1.0, 1.0, 2.0, 4.0)
# An image this near (in depths of field) to such a place stands for it.
REUSE_DOF = 0.45


def judge_beside(eye: Eye) -> Proposal:
    """Judge all shots; where they give an answer, look on both sides of it and judge again.

    At most six more images, where none was taken yet. Contrast that turns over, or a second peak,
    then shows, and the answer is declined.

    Returns
    -------
    Proposal
        ``uncertain`` where the budget does not allow these images.
    """
    depth_um = eye.depth_of_field_um
    proposal = judge(eye.shots, depth_of_field_um=depth_um)
    if not proposal.found or proposal.z_um is None:
        return proposal
    unit_um = depth_um or proposal.width_um or 1.0
    goals = [proposal.z_um + count * unit_um for count in BESIDE_DOF]
    if eye.limits.side == "down":
        goals.reverse()
    for z_um in goals:
        near = any(abs(shot.z_commanded_um - z_um) <= REUSE_DOF * unit_um for shot in eye.shots)
        if near or not eye.limits.allow(z_um):
            continue
        if eye.looks_left < 1:
            return Proposal(
                status=Status.UNCERTAIN,
                reason=f"focus seems to lie at {proposal.z_um:.2f} um, but no image is left to see "
                "whether there is a second peak beside it: allow more",
            )
        eye.look(z_um, "look beside the answer")
    return judge(eye.shots, depth_of_field_um=depth_um)
