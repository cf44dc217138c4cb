"""How z acts on the picture: operators, the recipe that makes perturbed pictures, and the law of what clipping leaves.

Evaluates no model.
"""
