// Clips: from a file, or from a camera.

import { element, show } from './dom.js';

/** Frames of a clip, and its longer side, pixels: enough to see, little enough for phones. */
const FRAMES = 24;
const LONGEST = 480;
/** Seconds that the webcam records. */
const RECORDED = 2.4;
/** Milliseconds that a file may take to show a frame. */
const PATIENCE = 15_000;

/** The size at which frames are taken. */
const taken = (width, height) => {
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  return [width, height].map((side) => Math.max(1, Math.round(side * scale)));
};

/** Takes frames of a video one by one. */
class Collector {
  constructor(video) {
    [this.width, this.height] = taken(video.videoWidth, video.videoHeight);
    this.video = video;
    this.painter = new OffscreenCanvas(this.width, this.height).getContext('2d', { willReadFrequently: true });
    this.frames = [];
  }

  take() {
    this.painter.drawImage(this.video, 0, 0, this.width, this.height);
    this.frames.push(this.painter.getImageData(0, 0, this.width, this.height).data);
  }

  clip(name) {
    const size = this.width * this.height * 4;
    const pixels = new Uint8Array(size * this.frames.length);
    this.frames.forEach((frame, index) => pixels.set(frame, index * size));
    return { name, width: this.width, height: this.height, count: this.frames.length, pixels };
  }
}

/** Waits for an event of a video. */
const happens = (video, name) => new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error('the browser did not show the video in time')), PATIENCE);
  const done = (outcome) => () => {
    clearTimeout(timer);
    outcome();
  };
  video.addEventListener(name, done(resolve), { once: true });
  const refuse = () => reject(new Error(`the browser cannot play this file (${video.error?.message || 'no known video'})`));
  video.addEventListener('error', done(refuse), { once: true });
});

/** Frames of a video file, evenly over its length. */
export const fromFile = async (file, onStep) => {
  const video = document.createElement('video');
  [video.muted, video.playsInline, video.preload] = [true, true, 'auto'];
  const address = URL.createObjectURL(file);
  try {
    const loaded = happens(video, 'loadeddata');
    video.src = address;
    await loaded;
    if (!video.videoWidth) throw new Error('the file has no pictures');
    const length = Number.isFinite(video.duration) ? video.duration : 0;
    const collector = new Collector(video);
    for (let index = 0; index < FRAMES; index += 1) {
      const sought = happens(video, 'seeked');
      // Within a frame rather than between two.
      video.currentTime = (index + 0.5) / FRAMES * length;
      await sought;
      collector.take();
      onStep(index + 1, FRAMES);
      if (length === 0) break;
    }
    return collector.clip(file.name);
  } finally {
    video.removeAttribute('src');
    URL.revokeObjectURL(address);
  }
};

/** A few seconds of the webcam. */
export const fromWebcam = async (onStep) => {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error('this page cannot use a camera: browsers allow that over https and on localhost only');
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
  const video = element('preview');
  try {
    video.srcObject = stream;
    show('preview');
    const loaded = happens(video, 'loadeddata');
    await Promise.all([loaded, video.play()]);
    const collector = new Collector(video);
    for (let index = 0; index < FRAMES; index += 1) {
      await new Promise((resolve) => { setTimeout(resolve, RECORDED * 1000 / FRAMES); });
      collector.take();
      onStep(index + 1, FRAMES);
    }
    return collector.clip('webcam');
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
    show('preview', false);
  }
};
