// Runs the library, one call after the other.

import start, { Lab, last_panic } from './wasm/orthoformer_web.js';

let lab;

/** What the browser tells of the GPU, which is as much as it thinks fit. */
const adapterName = async () => {
  const { vendor, architecture, device, description } = (await self.navigator.gpu.requestAdapter())?.info ?? {};
  return [vendor, architecture, device, description].filter(Boolean).join(' ') || 'not told by the browser';
};

const calls = {
  async open() {
    await start();
    if (!self.navigator.gpu) throw new Error('this browser has WebGPU, but not in workers, where this page needs it');
    lab = await Lab.open(await adapterName());
    return JSON.parse(lab.about());
  },
  async ball(seed, count) {
    const ball = lab.ball(seed, count);
    const { width, height } = ball;
    const [pixels, centres] = [ball.pixels(), ball.centres()];
    ball.free();
    return { width, height, count, pixels, centres };
  },
  async take(width, height, pixels) {
    lab.take(width, height, pixels);
  },
  async track(x, y, frame) {
    const tracked = await lab.track(x, y, frame);
    const report = JSON.parse(tracked.report());
    const heat = report.steps.map((_, step) => tracked.heat(step));
    tracked.free();
    return { report, heat };
  },
  async check(name, bytes) {
    return JSON.parse(await lab.check(name, bytes));
  },
  async bench(shapes, runs, seconds, onStep) {
    return JSON.parse(await lab.bench(shapes, runs, seconds, onStep));
  },
};

/** Pictures are handed over rather than copied. */
const transfers = (result) => [result?.pixels, ...(result?.heat ?? [])].filter(Boolean).map((bytes) => bytes.buffer);

const answer = async ({ call, name, values }) => {
  const onStep = (...step) => self.postMessage({ call, step });
  try {
    const result = await calls[name](...values, onStep);
    self.postMessage({ call, result }, transfers(result));
  } catch (error) {
    const crashed = crashOf(error);
    self.postMessage(crashed ? { crashed } : { call, error: error.message ?? String(error) });
  }
};

/** What the library said if this is how it ended; asking it takes that it had started, which such an error shows. */
const crashOf = (error) => (error instanceof WebAssembly.RuntimeError ? last_panic() ?? error.message : undefined);

let before = Promise.resolve();
self.addEventListener('message', ({ data }) => {
  before = before.then(() => answer(data));
});

// A panic in the middle of a promise arrives at one of these, and that promise never ends.
self.addEventListener('error', ({ error, message }) => {
  self.postMessage({ crashed: crashOf(error) ?? message });
});
self.addEventListener('unhandledrejection', ({ reason }) => {
  const crashed = crashOf(reason);
  if (crashed) self.postMessage({ crashed });
});
