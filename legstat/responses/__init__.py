"""The black box: pictures in, one score for each picture out, whatever runs the model.

`base` has what every response is, `function` makes one of any function, `pictures` reads files; a folder each for
networks in general and for the three things that run them. Nothing here imports onnx, onnxruntime or torch before it
is needed, and nothing knows of estimates.
"""
