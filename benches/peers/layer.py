"""The exact trajectory attention layer: orthoformer's CPU engine against eager PyTorch, ONNX Runtime and OpenVINO, interleaved.

usage: layer.py [--shape FxSxCxH] [--batch B] [--threads 2] [--rounds 5] [--runs 7] [--program target/release/orthoformer]

Needs torch, onnx, onnxruntime and openvino, in an environment of their own. Each round measures everybody once (median of some runs), so that all see
the same machine. Forms of the layer, equal to rounding (checked):

published  the order of the published code: whole score matrix, softmax inside each frame, proj_kv on every trajectory token
sdpa       scores of a frame at a time, proj_kv on every trajectory token
absorbed   the same, temporal projections moved to the query and to the pooled token: what orthoformer computes
"""
import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import tempfile
import time
import warnings

import torch
import torch.nn.functional as nnf

FORMS = ['published', 'sdpa', 'absorbed']


def heads_first(t, h):  # [B,N,C] -> [B*H,N,D]
    b, n, c = t.shape
    return t.reshape(b, n, h, c // h).transpose(1, 2).reshape(b * h, n, c // h)


def tokens_of(q, k, v, f, b, form):
    bh, n, d = q.shape
    h, s = bh // b, n // f
    if form == 'published':
        a = (d ** -0.5 * (q @ k.transpose(-1, -2)).reshape(bh, n, f, s)).softmax(-1)
        x = torch.einsum('bqfn,bfnd->bqfd', a, v.reshape(bh, f, s, d))
        return x.reshape(b, h, n, f, d).permute(0, 2, 3, 1, 4).reshape(b, n, f, -1)
    q, k, v = q.reshape(bh, 1, n, d), k.reshape(bh, f, s, d), v.reshape(bh, f, s, d)
    if torch.onnx.is_in_onnx_export():
        x = (d ** -0.5 * q @ k.transpose(-1, -2)).softmax(-1) @ v
    else:
        x = nnf.scaled_dot_product_attention(q.expand(-1, f, -1, -1), k, v)
    return x.reshape(b, h, f, n, d).permute(0, 3, 2, 1, 4).reshape(b, n, f, -1)


def temporal(x, w, h, form):
    b, n, f, c = x.shape
    d = c // h
    own = torch.diagonal(x.reshape(b, f, n // f, f, c), dim1=1, dim2=3).permute(0, 3, 1, 2).reshape(b, n, c)
    q2 = nnf.linear(own, w['proj_q.weight'], w['proj_q.bias'])
    if form == 'absorbed':
        wk, wv = w['proj_kv.weight'][:c].reshape(h, d, c), w['proj_kv.weight'][c:].reshape(h, d, c)
        u = torch.bmm(q2.reshape(b * n, h, d).transpose(0, 1), wk).transpose(0, 1) * d ** -0.5
        xs = x.reshape(b * n, f, c)
        pooled = torch.bmm(torch.bmm(u, xs.transpose(1, 2)).softmax(-1), xs)
        return torch.bmm(pooled.transpose(0, 1), wv.transpose(1, 2)).transpose(0, 1).reshape(b, n, c) + w['proj_kv.bias'][c:]
    q2 = q2.reshape(b, n, h, d).transpose(1, 2) * d ** -0.5
    k2, v2 = nnf.linear(x, w['proj_kv.weight'], w['proj_kv.bias']).chunk(2, -1)
    k2, v2 = (t.reshape(b, n, f, h, d).permute(0, 3, 1, 2, 4) for t in (k2, v2))
    a = torch.einsum('bhsd,bhsfd->bhsf', q2, k2).softmax(-1)
    return torch.einsum('bhsf,bhsfd->bhsd', a, v2).transpose(1, 2).reshape(b, n, c)


class Layer(torch.nn.Module):
    def __init__(self, sizes, form):
        super().__init__()
        (self.f, _, c, self.h), self.form = sizes, form
        g = torch.Generator().manual_seed(7)
        rand = lambda *shape, scale: torch.randn(*shape, generator=g) * scale
        shapes = {'qkv': (3 * c, 1), 'proj': (c, 1), 'proj_q': (c, 2), 'proj_kv': (2 * c, 2)}
        for name, (rows, scale) in shapes.items():
            self.register_buffer(f'{name}_weight', rand(rows, c, scale=scale * c ** -.5))
            self.register_buffer(f'{name}_bias', rand(rows, scale=.3))

    def forward(self, x):
        w = {name.replace('_weight', '.weight').replace('_bias', '.bias'): value for name, value in self.named_buffers()}
        b, h = x.shape[0], self.h
        q, k, v = (heads_first(t, h) for t in nnf.linear(x, w['qkv.weight'], w['qkv.bias']).chunk(3, -1))
        d = q.shape[-1]
        cls = ((d ** -0.5 * q[:, :1]) @ k.transpose(-1, -2)).softmax(-1) @ v
        y = temporal(tokens_of(q[:, 1:], k[:, 1:], v[:, 1:], self.f, b, self.form), w, h, self.form)
        cls = cls.reshape(b, h, 1, d).transpose(1, 2).reshape(b, 1, -1)
        return nnf.linear(torch.cat((cls, y), 1), w['proj.weight'], w['proj.bias'])


def median_of(run, runs):
    run()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def onnx_session(path, threads):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    return lambda x: session.run(None, {'x': x})[0]


def openvino_model(path, threads):
    import openvino
    config = {'INFERENCE_NUM_THREADS': threads, 'INFERENCE_PRECISION_HINT': 'f32', 'PERFORMANCE_HINT': 'LATENCY'}
    request = openvino.Core().compile_model(path, 'CPU', config).create_infer_request()
    return lambda x: request.infer({0: x})[0]


def peers(sizes, batch, threads, folder):
    """Name and function of each, all of which return the same."""
    f, s, c, _ = sizes
    x = torch.randn(batch, 1 + f * s, c, generator=torch.Generator().manual_seed(1))
    found, want = {}, None
    for form in FORMS:
        layer = Layer(sizes, form).eval()
        y = layer(x)
        want = y if want is None else want
        found[f'torch eager, {form}'] = lambda layer=layer: layer(x)
        path = os.path.join(folder, f'{form}.onnx')
        with contextlib.redirect_stdout(io.StringIO()):
            torch.onnx.export(layer, (x,), path, input_names=['x'], output_names=['y'], opset_version=18, dynamo=False)
        for name, make in [('ONNX Runtime', onnx_session), ('OpenVINO', openvino_model)]:
            run = make(path, threads)
            difference = (torch.from_numpy(run(x.numpy()).copy()) - want).abs().max().item()
            assert difference < 1e-3, f'{name}, {form}: {difference} off'
            found[f'{name}, {form}'] = lambda run=run: run(x.numpy())
    return found


def orthoformer(program, shape, batch):
    """Median milliseconds of the program's own benchmark, which has checked the result first."""
    command = [program, 'bench', '--executor', 'cpu', '--operation', 'layer', '--shape', shape, '--batch', str(batch), '--approximation', 'exact']
    out = subprocess.run(command + ['--no-ceilings', '--whole', '--seconds', '1.5', '--json'], check=True, capture_output=True, text=True).stdout
    row, = [row for row in json.loads(out)['rows'] if not row['variant'].endswith('f16')]
    return row['median_ms']


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--shape', default='8x196x768x12')
    ap.add_argument('--batch', type=int, default=1)
    ap.add_argument('--threads', type=int, default=2)
    ap.add_argument('--rounds', type=int, default=5)
    ap.add_argument('--runs', type=int, default=7)
    ap.add_argument('--program', default='target/release/orthoformer')
    a = ap.parse_args()
    warnings.simplefilter('ignore')
    torch.set_num_threads(a.threads)
    sizes = tuple(map(int, a.shape.split('x')))
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        all_of = peers(sizes, a.batch, a.threads, folder)
        times = {name: [] for name in ['orthoformer', *all_of]}
        for _ in range(a.rounds):
            times['orthoformer'].append(orthoformer(a.program, a.shape, a.batch))
            for name, run in all_of.items():
                times[name].append(median_of(run, a.runs))
    own = statistics.median(times['orthoformer'])
    print(f'{a.shape}, batch {a.batch}, {a.threads} threads, {a.rounds} rounds')
    for name, found in times.items():
        median = statistics.median(found)
        print(f'{name:26} {median:8.1f} ms (best {min(found):.1f})  {median / own:5.2f} x')


if __name__ == '__main__':
    main()
