"""Send the trained model as it is: 8 bits a weight in the `wage` recipe; 32 in `float32`, which is plain FedAvg."""

from halo_jax.compressors.base import Compressor, Upload, model_of, size_of, whole_model


def identity(*, model_bits: int) -> Compressor:
    """The message is the model; `model_bits` per weight (Choice A6: the 8-bit master travels)."""

    def compress(x, state, context, key):
        del context, key
        return Upload(whole_model(x, model_bits), state, size_of(x) * model_bits)

    def decompress(message, like, context):
        del context
        return model_of(message, like, model_bits)

    return Compressor(compress, decompress, carries="model")
