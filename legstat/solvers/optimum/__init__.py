"""What an answer is worth: our certificate, the optimal face, and which point of it is reported.

Trusts no engine.
"""
