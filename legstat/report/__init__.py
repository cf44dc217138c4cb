"""What people look at: summaries, maps over pictures, panels, pages. The only folder that loads matplotlib.

Computes no estimate: it draws results by what they offer, whatever made them.
"""
