// Starts the page: looks for WebGPU, opens it, shows the ball.

import { complain, element, say, show } from './dom.js';
import { call } from './library.js';
import { begin as beginReports } from './reports.js';
import { begin as beginTracking, useBall } from './tracking.js';

const UPDATE = 'Use a current Chrome or Edge (113 or later; 121 on Android), Safari 26, or Firefox 141 on Windows (145 on Macs with Apple chips).';
const LINUX = 'On Linux, Chrome may need chrome://flags/#enable-unsafe-webgpu and a Vulkan driver; Firefox Nightly has it too.';

/** Says plainly that there is no WebGPU, why, and what helps. */
const missing = (why, what) => {
  element('missing-why').textContent = why;
  element('missing-what').replaceChildren(...what.map((text) => {
    const item = document.createElement('li');
    item.textContent = text;
    return item;
  }));
  show('missing');
  show('work', false);
  say('This page cannot compute anything here.');
};

/** Whether the browser has WebGPU at all; if not, says so. */
const hasWebGpu = async () => {
  if (!navigator.gpu && !window.isSecureContext) {
    missing('This address is not secure: browsers offer WebGPU over https and on localhost only.', ['Open the page over https.']);
    return false;
  }
  if (!navigator.gpu) {
    missing('This browser does not offer WebGPU, or has it switched off.', [UPDATE, LINUX]);
    return false;
  }
  if (!(await navigator.gpu.requestAdapter())) {
    missing('This browser has WebGPU, but found no GPU that it would use.', ['Switch on hardware acceleration in the browser’s settings.', 'Update the graphics driver: browsers refuse some old ones.', LINUX]);
    return false;
  }
  return true;
};

const start = async () => {
  if (!(await hasWebGpu())) return;
  say('Opening the GPU …');
  const about = await call('open');
  beginTracking(about);
  beginReports(about);
  await useBall();
};

try {
  await start();
} catch (error) {
  complain(`The library did not start: ${error.message}`);
  say('This page cannot compute anything here.');
} finally {
  element('main').setAttribute('aria-busy', 'false');
}
