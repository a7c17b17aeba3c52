"""What leaves the house in other forms: ONNX files, pictures."""
