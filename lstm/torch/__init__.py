"""The same LSTM as a ``torch.nn.Module``, in two forms, and conversion both ways.

:class:`LSTM` is a loop over time that autograd differentiates; :class:`NumpyLSTM` hands both the
forward and the backward pass to :class:`lstm.LSTM`. Either can stand where ``torch.nn.LSTM`` stood:
same arguments, parameter names, initial values for a seed, state dict, and results.
"""

try:
    import torch  # noqa: F401 - asked for here, to say what to install
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    message = 'lstm.torch needs PyTorch: pip install "lstm-checked[torch]"'
    raise ImportError(message, name="torch") from None

from lstm.torch.bridge import NumpyFunction, NumpyLSTM
from lstm.torch.convert import from_torch, state_dict, to_torch
from lstm.torch.layer import LSTM, step

__all__ = ["LSTM", "NumpyFunction", "NumpyLSTM", "from_torch", "state_dict", "step", "to_torch"]
