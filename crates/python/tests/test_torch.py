"""Against PyTorch, transformers and torchvision, on small networks with random weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import orthoformer as of
import pytest
from conftest import close

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

FRAMES, SIDE = 4, 32
SIZES = dict(
    image_size=SIDE, num_frames=FRAMES, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, num_labels=7,
    attention_probs_dropout_prob=0.1, hidden_dropout_prob=0.1,
)


def timesformer(attention: str) -> torch.nn.Module:
    return transformers.TimesformerForVideoClassification(transformers.TimesformerConfig(**SIZES, patch_size=8, attention_type=attention))


MODELS = {
    "TimeSformer, divided": lambda: timesformer("divided_space_time"),
    "TimeSformer, joint": lambda: timesformer("joint_space_time"),
    "TimeSformer, space alone": lambda: timesformer("space_only"),
    "ViViT": lambda: transformers.VivitForVideoClassification(transformers.VivitConfig(**SIZES, tubelet_size=[2, 8, 8])),
    "VideoMAE": lambda: transformers.VideoMAEForVideoClassification(transformers.VideoMAEConfig(**SIZES, patch_size=8, tubelet_size=2)),
}


def model_of(name: str) -> torch.nn.Module:
    """A model whose attention is far from even, as that of weights as they are drawn is not."""
    torch.manual_seed(len(name))
    model = MODELS[name]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def video(batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, FRAMES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(batch))


def logits(model: torch.nn.Module, given: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return model(given).logits.numpy()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_with_replaced_attention_gives_the_same_answers(engine: of.Engine, name: str) -> None:
    model = model_of(name)
    expected = logits(model, video())
    assert of.torch.replace_attention(model, executor=engine) is model
    close(logits(model, video()), expected, 1e-4)
    # Not by attention that does nothing.
    calls = []
    real = of.torch.attention
    try:
        of.torch.attention = lambda *operands, **options: calls.append(1) or 1.5 * real(*operands, **options)
        with pytest.raises(AssertionError):
            close(logits(model, video()), expected, 1e-4)
    finally:
        of.torch.attention = real
    assert len(calls) >= 2


def test_models_keep_their_own_engines_and_others_their_attention() -> None:
    model, other = model_of("ViViT"), model_of("ViViT")
    expected = logits(other, video())
    of.torch.replace_attention(model, executor="reference")
    np.testing.assert_array_equal(logits(other, video()), expected)


def test_what_the_kernels_do_not_do_is_refused(engine: of.Engine) -> None:
    for name in ("TimeSformer, divided", "ViViT"):
        model = of.torch.replace_attention(model_of(name), executor=engine)
        with pytest.raises(of.InputError, match="requires a gradient"):
            model(video())
        with torch.inference_mode(), pytest.raises(of.InputError, match="training"):
            model.train()(video())
    model = of.torch.replace_attention(model_of("TimeSformer, divided"), executor=engine)
    with torch.inference_mode(), pytest.raises(of.InputError, match="attention weights"):
        model(video(), output_attentions=True)
    with pytest.raises(of.InputError, match="expected a TimeSformer, ViViT or VideoMAE"):
        of.torch.replace_attention(torch.nn.Linear(2, 2), executor=engine)


@pytest.mark.parametrize("name", ["TimeSformer, divided", "TimeSformer, joint", "ViViT", "VideoMAE"])
def test_saved_models_give_the_same_logits(engine: of.Engine, name: str, tmp_path: Path) -> None:
    model = model_of(name)
    model.save_pretrained(tmp_path)
    close(of.load(tmp_path, executor=engine)(video()), logits(model, video()), 1e-4)


def test_a_network_of_torchvision_gives_the_same_logits(engine: of.Engine, tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(1)
    sizes = dict(patch_size=[2, 4, 4], embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=[4, 4, 4], num_classes=5)
    model = torchvision.models.video.SwinTransformer3d(**sizes).eval()
    torch.save(model.state_dict(), tmp_path / "swin3d.pth")
    net = of.load(tmp_path / "swin3d.pth", executor=engine, frames=8, crop=64)
    given = torch.randn(1, 3, 8, 64, 64)
    with torch.inference_mode():
        close(net(given), model(given).numpy(), 1e-4)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16, torch.int32])
def test_tensors_go_in(engine: of.Engine, kind: torch.dtype) -> None:
    q, k, v = (torch.randint(-3, 4, (1, 2, 10, 8), generator=torch.Generator().manual_seed(seed)).to(kind) for seed in range(3))
    expected = torch.nn.functional.scaled_dot_product_attention(q.double(), k.double(), v.double()).numpy()
    close(of.attention(q, k, v, executor=engine), expected)
    close(of.attention(q.transpose(2, 3).contiguous().transpose(2, 3), k, v, executor=engine), expected)
    with pytest.raises(of.ElementTypeError, match="float"):
        of.attention(q.bfloat16(), k, v, executor=engine)
    with pytest.raises(of.InputError, match="q requires a gradient"):
        of.attention(q.float().requires_grad_(), k, v, executor=engine)


def test_compilers_of_drivers_and_of_pytorch_get_along() -> None:
    """Mesa's software driver and Triton have an LLVM each."""
    pytest.importorskip("triton")
    program = """
import numpy, orthoformer as of
x = numpy.ones((1, 1, 8, 8), numpy.float32)
of.attention(x, x, x)
of.devices()
try:
    of.Engine("gpu", adapter="no such adapter")
except of.Error:
    pass
import triton
of.attention(x, x, x)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=120)
