// The clip on a canvas: playing, the crosshair, and what attention found.

import { element } from './dom.js';

/** Milliseconds a frame is shown. */
const PACE = 100;
/** Steps of the crosshair, pixels of the clip. */
const STEP = 4;
const LONG_STEP = 24;

const canvas = element('canvas');
const painter = canvas.getContext('2d');
const slider = element('frame');
const playButton = element('play');

/** What is shown: the clip, what was found in it, and where the crosshair is. */
const state = { clip: null, track: null, frame: 0, cross: null, timer: null };
let onChoose = () => {};

/** Calls back with the point and the frame that the visitor chose. */
export const whenChosen = (callback) => { onChoose = callback; };

/** Shows a clip: `{ width, height, count, pixels }`, pixels as red, green, blue and alpha. */
export const showClip = (clip) => {
  pause();
  const size = clip.width * clip.height * 4;
  const frame = (index) => bitmap(clip.pixels.subarray(index * size, (index + 1) * size), clip.width, clip.height);
  state.clip = { ...clip, frames: Array.from({ length: clip.count }, (_, index) => frame(index)) };
  Object.assign(state, { track: null, frame: 0, cross: { x: clip.width / 2, y: clip.height / 2 } });
  // Marks stay fine where the clip itself is coarse.
  const scale = Math.max(1, Math.ceil(960 / clip.width));
  [canvas.width, canvas.height] = [clip.width * scale, clip.height * scale];
  slider.max = clip.count - 1;
  [slider.disabled, playButton.disabled] = [false, false];
  goTo(0);
};

/** Shows what was found: the library's report with its heat maps. */
export const showTrack = (track) => {
  const [width, height] = track.report.heat_size;
  state.track = { ...track.report, heat: track.heat.map((pixels) => bitmap(pixels, width, height)) };
  draw();
};

/** Plays, unless the visitor would rather have things stand still. */
export const playIfWelcome = () => {
  if (!matchMedia('(prefers-reduced-motion: reduce)').matches) play();
};

const bitmap = (pixels, width, height) => {
  const made = new OffscreenCanvas(width, height);
  made.getContext('2d').putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer, pixels.byteOffset, pixels.length), width, height), 0, 0);
  return made;
};

export const play = () => {
  if (state.timer || !state.clip) return;
  state.timer = setInterval(() => goTo((state.frame + 1) % state.clip.count), PACE);
  label('Pause');
};

export const pause = () => {
  clearInterval(state.timer);
  state.timer = null;
  label('Play');
};

/** The button says what it would do next. */
const label = (text) => { playButton.textContent = text; };

export const goTo = (frame) => {
  state.frame = frame;
  slider.value = frame;
  const said = `${frame + 1} / ${state.clip.count}`;
  element('frame-number').textContent = said;
  slider.setAttribute('aria-valuetext', `frame ${frame + 1} of ${state.clip.count}`);
  draw();
};

const draw = () => {
  const { clip, track, frame, cross } = state;
  if (!clip) return;
  const scale = canvas.width / clip.width;
  painter.imageSmoothingEnabled = true;
  painter.drawImage(clip.frames[frame], 0, 0, canvas.width, canvas.height);
  const step = track ? Math.floor(frame / track.patch_depth) : -1;
  if (track?.steps[step]) {
    if (element('show-heat').checked) painter.drawImage(track.heat[step], 0, 0, canvas.width, canvas.height);
    if (element('show-marks').checked) drawMarks(track, step, scale);
  }
  if (document.activeElement === canvas && cross) drawCrosshair(cross, scale);
};

/** Strokes twice: white within black is seen on anything. */
const stroke = (path, scale, colour = '#fff') => {
  for (const [style, width] of [['#000', 2.6], [colour, 1.2]]) {
    [painter.strokeStyle, painter.lineWidth] = [style, Math.max(1, width * scale)];
    painter.stroke(path);
  }
};

const drawMarks = (track, step, scale) => {
  const { centroid, peak } = track.steps[step];
  const [width, height] = track.patch_size.map((size) => size * scale);
  const path = new Path2D();
  const [x, y] = centroid.map((at) => at * scale);
  path.ellipse(x, y, width / 2, height / 2, 0, 0, 2 * Math.PI);
  const [column, row] = peak.map((at) => at * scale);
  const reach = 4 * scale;
  for (const [dx, dy] of [[reach, 0], [0, reach]]) {
    path.moveTo(column - dx, row - dy);
    path.lineTo(column + dx, row + dy);
  }
  if (step === track.query_step) path.rect(track.point[0] * scale - width / 2, track.point[1] * scale - height / 2, width, height);
  stroke(path, scale);
};

const drawCrosshair = ({ x, y }, scale) => {
  const path = new Path2D();
  const [column, row, inner, outer] = [x * scale, y * scale, 3 * scale, 12 * scale];
  for (const sign of [-1, 1]) {
    path.moveTo(column + sign * inner, row);
    path.lineTo(column + sign * outer, row);
    path.moveTo(column, row + sign * inner);
    path.lineTo(column, row + sign * outer);
  }
  stroke(path, scale, '#7df9ff');
};

const choose = () => onChoose({ ...state.cross, frame: state.frame });

/** A point that is inside the clip. */
const inside = ({ x, y }) => ({
  x: Math.min(Math.max(x, 0), state.clip.width - 1),
  y: Math.min(Math.max(y, 0), state.clip.height - 1),
});

canvas.addEventListener('click', (event) => {
  if (!state.clip) return;
  const box = canvas.getBoundingClientRect();
  const along = (at, start, length, size) => (at - start) / length * size;
  state.cross = inside({ x: along(event.clientX, box.left, box.width, state.clip.width), y: along(event.clientY, box.top, box.height, state.clip.height) });
  choose();
});

canvas.addEventListener('keydown', (event) => {
  if (!state.clip || event.ctrlKey || event.altKey || event.metaKey) return;
  const step = event.shiftKey ? LONG_STEP : STEP;
  const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  const move = moves[event.key];
  if (move) {
    state.cross = inside({ x: state.cross.x + move[0], y: state.cross.y + move[1] });
    element('canvas-said').textContent = `${Math.round(state.cross.x)}, ${Math.round(state.cross.y)}`;
    draw();
  } else if (event.key === 'Enter') {
    choose();
  } else if (event.key === ' ') {
    toggle();
  } else {
    return;
  }
  event.preventDefault();
});

const toggle = () => (state.timer ? pause() : play());

canvas.addEventListener('focus', draw);
canvas.addEventListener('blur', draw);
playButton.addEventListener('click', toggle);
slider.addEventListener('input', () => {
  pause();
  goTo(Number(slider.value));
});
for (const id of ['show-heat', 'show-marks']) element(id).addEventListener('change', draw);
