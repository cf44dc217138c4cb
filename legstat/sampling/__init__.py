"""The query loop: what is asked, how it is asked, what is kept of the answers.

The only place that spends evaluations for LEG.
"""
