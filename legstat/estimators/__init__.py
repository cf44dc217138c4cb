"""LEG and LEG-TV: from a sample or its moments to results, along the path of L.

Spends no evaluation; summaries and figures are drawn by `legstat.report`.
"""
