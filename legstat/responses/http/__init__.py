"""Models behind an address that speaks the Open Inference Protocol.

Nothing secret that is sent is kept.
"""
