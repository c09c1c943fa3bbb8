// Choosing a clip and a point, and what was found.

import { complain, define, element, fill, number, save, say, show } from './dom.js';
import { call } from './library.js';
import { fromFile, fromWebcam } from './sources.js';
import { pause, playIfWelcome, showClip, showTrack, whenChosen } from './stage.js';

const BALL_FRAMES = 24;
const BALL_SEED = 1;

/** What the library calls the tiers, in words. */
const TIERS = { f16: '16-bit floats', subgroups: 'subgroups', timestamps: 'timestamps', cooperative_matrix: 'matrix units' };

let clip = null;
let result = null;
let about = null;
let busy = false;

/** Does one thing at a time, and shows what goes wrong. */
export const alone = async (what, work) => {
  if (busy) {
    say('Still busy; please wait a moment.');
    return;
  }
  busy = true;
  element('main').setAttribute('aria-busy', 'true');
  complain();
  say(what);
  try {
    return await work();
  } catch (error) {
    complain(`${what.replace(/ ?…$/, '')}: ${error.message}`);
    say('That did not work.');
  } finally {
    busy = false;
    element('main').setAttribute('aria-busy', 'false');
  }
};

const take = (taken) => {
  [clip, result] = [taken, null];
  element('track-save').disabled = true;
  element('clip-name').textContent = `${clip.name}: ${clip.count} frames of ${clip.width} × ${clip.height} pixels`;
  element('track-summary').textContent = 'Nothing yet: choose a point.';
  element('kernels-note').textContent = '';
  for (const id of ['kernels', 'positions']) show(id, false);
  showClip(clip);
  say('Choose a point in the clip.');
};

/** The generated ball, as the first clip and whenever it is asked for. */
export const useBall = () => alone('Rendering the ball …', async () => {
  const ball = await call('ball', [BALL_SEED, BALL_FRAMES]);
  take({ ...ball, name: 'Generated ball' });
});

const give = async (taken) => {
  // A copy goes to the library; these pixels stay here to be shown.
  const copy = taken.pixels.slice();
  await call('take', [taken.width, taken.height, copy], { transfer: [copy.buffer] });
  take(taken);
};

const useFile = (file) => alone('Reading the video …', async () => {
  await give(await fromFile(file, (done, all) => say(`Reading the video: frame ${done} of ${all}`)));
});

const useWebcam = () => alone('Waiting for the camera …', async () => {
  pause();
  await give(await fromWebcam((done, all) => say(`Recording: ${Math.round(100 * done / all)} %`)));
});

const follow = (point) => alone('Following the point …', async () => {
  if (!clip) throw new Error('there is no clip yet');
  const { report, heat } = await call('track', [point.x, point.y, point.frame]);
  result = { clip: { name: clip.name, width: clip.width, height: clip.height, frames: clip.count }, frame: point.frame, adapter: about.adapter, ...report };
  result.query_step = Math.floor(point.frame / report.patch_depth);
  if (clip.centres) {
    result.steps.forEach((step, index) => { step.off_ball = distanceToBall(step, index, report.patch_depth); });
  }
  showTrack({ report: result, heat });
  describe();
  playIfWelcome();
});

/** Pixels from the centre of attention to the ball's, halfway through the frames of a patch. */
const distanceToBall = ({ centroid }, step, depth) => {
  const frames = Array.from({ length: depth }, (_, index) => Math.min(step * depth + index, clip.count - 1));
  const mean = (axis) => frames.reduce((sum, frame) => sum + clip.centres[2 * frame + axis], 0) / frames.length;
  return Math.hypot(centroid[0] - mean(0), centroid[1] - mean(1));
};

const describe = () => {
  const { point, grid, steps, times, patch_depth: depth } = result;
  const found = `Followed ${point.map(Math.round).join(', ')} from frame ${result.frame + 1}, among ${grid[0]} × ${grid[1]} patches a frame.`;
  const off = steps.map((step) => step.off_ball);
  const ball = clip.centres ? ` The centre of attention is ${number(off.reduce((a, b) => a + b, 0) / off.length, 1)} pixels off the ball’s on average, ${number(Math.max(...off), 1)} at most.` : '';
  element('track-summary').textContent = found + ball;
  say(`Done in ${number(times.run_ms / 1000, 2)} seconds.${ball}`);
  fill(element('kernels'), times.kernels.map((kernel) => [kernel.label, `${kernel.kernel}.wgsl`, kernel.variant, String(kernel.dispatches), number(kernel.device_ms, 3)]));
  const stamped = times.kernels.every((kernel) => Number.isFinite(kernel.device_ms));
  const clock = stamped ? 'Times are the device’s own, by timestamps.' : 'This device has no timestamps that could be believed, so single kernels have no times.';
  element('kernels-note').textContent = `${clock} All kernels together: ${number(times.wall_ms, 1)} ms as the browser waits for them; ${number(times.run_ms, 1)} ms with compiling, uploading and reading back.`;
  const frames = (index) => `${index * depth + 1}–${Math.min((index + 1) * depth, clip.count)}`;
  fill(element('positions-table'), steps.map((step, index) => [frames(index), step.centroid.map((at) => number(at, 1)).join(', '), number(step.peak_weight, 3), number(step.off_ball, 1)]));
  show('positions');
  element('track-save').disabled = false;
};

/** Shows the GPU, and lets the visitor begin. */
export const begin = (opened) => {
  about = opened;
  const { adapter } = opened;
  const tiers = Object.entries(adapter.tiers).map(([name, tier]) => ({ name: TIERS[name] ?? name, ...tier }));
  const tier = tiers.filter(({ on }) => on).map(({ name }) => name).join(', ') || 'none';
  define(element('adapter'), [['Adapter', adapter.name], ['Kind', adapter.kind], ['API', adapter.backend], ['Tiers', tier]]);
  define(element('tiers'), tiers.map(({ name, on, detail }) => [name, `${on ? 'yes' : 'no'}: ${detail}`]));
  element('version').textContent = opened.orthoformer;
  whenChosen(follow);
  element('use-ball').addEventListener('click', useBall);
  element('use-webcam').addEventListener('click', useWebcam);
  element('use-file').addEventListener('click', () => element('file').click());
  element('file').addEventListener('change', ({ target }) => {
    const [file] = target.files;
    // So that choosing the same file again is a change.
    target.value = '';
    if (file) useFile(file);
  });
  element('track-save').addEventListener('click', () => save('orthoformer-track.json', result));
  for (const id of ['use-ball', 'use-file', 'use-webcam']) element(id).disabled = false;
};
