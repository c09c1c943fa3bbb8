// The library, in a worker: the page stays responsive while it computes.

const waiting = new Map();
let worker;
let lastCall = 0;
/** Why nothing can be asked for any more, once the library crashed. */
let crashed;

const settle = ({ data }) => {
  if (data.crashed) {
    crash(data.crashed);
    return;
  }
  const call = waiting.get(data.call);
  if (data.step) {
    call?.onStep?.(...data.step);
    return;
  }
  waiting.delete(data.call);
  if (data.error === undefined) call?.resolve(data.result);
  else call?.reject(new Error(data.error));
};

/** After a crash nothing is answered: neither what was asked for nor what will be. The first crash is the one to tell of. */
const crash = (why) => {
  crashed ??= new Error(`The library crashed; please reload the page. (${why})`);
  worker.terminate();
  for (const call of waiting.values()) call.reject(crashed);
  waiting.clear();
};

/** Calls the library: `name` is one of the calls in worker.js. `onStep` hears of progress. */
export const call = (name, values = [], { transfer = [], onStep } = {}) => {
  if (crashed) return Promise.reject(crashed);
  if (!worker) {
    worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
    worker.addEventListener('message', settle);
    worker.addEventListener('error', (event) => crash(event.message || 'its worker could not be started'));
  }
  lastCall += 1;
  return new Promise((resolve, reject) => {
    waiting.set(lastCall, { resolve, reject, onStep });
    worker.postMessage({ call: lastCall, name, values }, transfer);
  });
};
