"""The kernels in Hugging Face's video transformers, for inference.

    import orthoformer as of
    from transformers import TimesformerForVideoClassification

    model = of.torch.replace_attention(TimesformerForVideoClassification.from_pretrained("..."))
    with torch.inference_mode():
        model(pixel_values)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from . import _native
from ._engine import engine_of
from ._errors import InputError
from ._operations import attention

Model = TypeVar("Model", bound=torch.nn.Module)
# Their attention modules look up a function by the name that the configuration has; TimeSformer's do not.
_LOOK_UP = ("VivitAttention", "VivitSelfAttention", "VideoMAESelfAttention")
_TIMESFORMER = "TimesformerSelfAttention"
# How our function is called among transformers' own.
_NAME = "orthoformer"


def replace_attention(model: Model, *, executor: str | _native.Engine = "auto") -> Model:
    """Makes the attention of a TimeSformer, ViViT or VideoMAE of transformers run on an engine; returns the model, which is changed.

    The answers stay the same, to rounding. The model is set to evaluation; no gradients are computed, so call it under `torch.inference_mode()`.
    Its tensors stay in host memory, as float32.
    Raises `InputError` for models without such attention.
    """
    attend = _attend_on(engine_of(executor))
    kinds = [type(module).__name__ for module in model.modules()]
    if _TIMESFORMER not in kinds and not any(kind in kinds for kind in _LOOK_UP):
        raise InputError(f"model: {type(model).__name__} is not valid; expected a TimeSformer, ViViT or VideoMAE of transformers")
    for module in model.modules():
        kind = type(module).__name__
        if kind == _TIMESFORMER:
            module.forward = _timesformer_forward(module, attend)
        elif kind in _LOOK_UP:
            _use_in(module, attend)
    return model.eval()


def _attend_on(engine: _native.Engine) -> Callable[..., torch.Tensor]:
    """Attention `[B,H,N,D]` on an engine: the tensors' memory is read where it is."""

    def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None) -> torch.Tensor:
        usual = query.shape[-1] ** -0.5
        if scaling is not None and abs(scaling - usual) > 1e-6 * usual:
            query = query * (scaling / usual)
        found = attention(query, key, value, executor=engine)
        return torch.from_numpy(found).to(query.dtype)

    return attend


def _timesformer_forward(module: Any, attend: Callable[..., torch.Tensor]) -> Callable[..., tuple[torch.Tensor, ...]]:
    """`TimesformerSelfAttention.forward`, whose scores are never handed out."""

    def forward(hidden_states: torch.Tensor, output_attentions: bool = False) -> tuple[torch.Tensor, ...]:
        _refuse(output_attentions=output_attentions, training=module.training)
        batch, tokens, channels = hidden_states.shape
        qkv = module.qkv(hidden_states).reshape(batch, tokens, 3, module.num_heads, channels // module.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        return (attend(query, key, value, module.scale).transpose(1, 2).reshape(batch, tokens, channels),)

    return forward


def _use_in(module: Any, attend: Callable[..., torch.Tensor]) -> None:
    """Makes a module that looks up its attention function find ours."""
    from transformers import AttentionInterface

    AttentionInterface.register(_NAME, _attention_function)
    module.orthoformer_attend = attend
    module.config._attn_implementation = _NAME


def _attention_function(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in place of its own attention: `[B,H,N,D]` in, `[B,N,H,D]` out."""
    _refuse(mask=attention_mask is not None, output_attentions=bool(options.get("output_attentions")), training=module.training)
    return module.orthoformer_attend(query, key, value, scaling).transpose(1, 2).contiguous(), None


def _refuse(**given: bool) -> None:
    """Refuses what the kernels do not do, rather than leave it out."""
    reasons = {
        "mask": "attention with a mask",
        "output_attentions": "handing out attention weights: orthoformer's Network.attend looks into attention",
        "training": "training: call model.eval()",
    }
    for name, is_given in given.items():
        if is_given:
            raise InputError(f"the replaced attention does not do {reasons[name]}")
