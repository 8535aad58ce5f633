"""Trained networks as files that other programs run: ONNX, PyTorch's export, safetensors, C."""
