from .autoencoder import Autoencoder, train_autoencoder
from .error_head import ErrorHead
from .im2spec import TABLE_1, Encoder, Im2spec
from .layers import Dropout, create
from .spec2im import Spec2im

__all__ = [
    "TABLE_1",
    "Autoencoder",
    "Dropout",
    "Encoder",
    "ErrorHead",
    "Im2spec",
    "Spec2im",
    "create",
    "train_autoencoder",
]
