"""ONNX files as responses: reading and editing the graph, sessions, bound buffers.

The only folder, beside the inspection of files, that imports onnx and onnxruntime.
"""
