"""Pictures of scenes and of training; each function returns the bytes or text of one image."""

from navforge.reports.figures.bev import draw_bev
from navforge.reports.figures.camera import draw_camera
from navforge.reports.figures.curves import learning_curves, score_intervals
from navforge.reports.figures.style import BEST, CHOSEN, HUMAN, OTHER, Style, Trajectory
from navforge.reports.figures.surroundings import Surroundings, surroundings_of

__all__ = [
    "BEST",
    "CHOSEN",
    "HUMAN",
    "OTHER",
    "Style",
    "Surroundings",
    "Trajectory",
    "draw_bev",
    "draw_camera",
    "learning_curves",
    "score_intervals",
    "surroundings_of",
]
