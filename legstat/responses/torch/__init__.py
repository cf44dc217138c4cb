"""torch modules as responses: settings, replicas on devices, perturbation on the device.

Imports torch inside functions only.
"""
