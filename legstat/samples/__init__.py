"""What a run leaves: the sample of responses with all that is needed to draw z again, and the faults that carry one.

Spends no evaluation.
"""
