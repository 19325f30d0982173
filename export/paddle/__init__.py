"""PaddlePaddle networks: a ``.pdparams`` file into an ONNX graph through Paddle's own exporter."""
