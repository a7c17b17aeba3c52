"""ONNX files, node by node: what stands in them, and which nodes of a graph compute it."""
