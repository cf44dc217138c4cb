"""What people look at: maps over pictures, panels, HTML. The only place that loads matplotlib."""

from legstat.report.page import save_page
from legstat.report.plots import plot_explanation, plot_map, save_overlay

__all__ = ["plot_explanation", "plot_map", "save_overlay", "save_page"]
