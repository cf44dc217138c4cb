"""
A first map
===========

One call explains a picture: regions that are certain, LEG, and LEG-TV at the L that held-out draws chose.
"""

import legstat as ls
from legstat.data import digits_model_path, load_digit

image, label = load_digit(5)  # a handwritten 7 that the network has not seen
f = ls.onnx_response(digits_model_path(), target=label)
found = ls.explain(f, image, perturbation=ls.Blend("black"), n_queries=1500, rng=0)
panels = found.plot()

# %%
# On the left the picture with its regions: red ones raise the log-odds of class 7, blue ones lower them. They were
# found by LEG-TV on one half of the draws and tested on the other, with a familywise error of 5 %. In the middle LEG,
# the unbiased estimate of each cell; on the right LEG-TV, which has few regions of one value.
#
# The summary has the numbers behind the picture, region by region.

print(found.summary())
