// Conformance cases and the benchmark.

import { element, fill, number, save, say, show } from './dom.js';
import { call } from './library.js';
import { alone } from './tracking.js';

const RUNS = 20;
const SECONDS = 2;

/** Shows how far a report is. */
const step = (name, done, all, what) => {
  element(`${name}-step`).textContent = `${what} (${Math.min(done + 1, all)} of ${all})`;
  [element(`${name}-progress`).max, element(`${name}-progress`).value] = [all, done];
  show(`${name}-bar`, done < all);
};

/** What ran where, for whoever gets the file. */
const context = () => ({ user_agent: navigator.userAgent, date: new Date().toISOString() });

const fetched = async (address) => {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address} could not be fetched (${response.status})`);
  return response;
};

const casesRows = ({ case: name, outputs, passed, trouble }) => {
  if (outputs.length === 0) return [[name, '–', '–', '–', '–', { text: `FAILED: ${trouble}`, className: 'bad' }]];
  return outputs.map(({ output, reference, adapter, between }) => {
    const used = Math.max(...[reference, adapter, between].map((one) => one.share_of_tolerance ?? Infinity));
    const right = [reference, adapter, between].every((one) => one.wrong === 0 && one.count > 0);
    const verdict = right && passed ? { text: 'ok', className: 'good' } : { text: right ? `FAILED: ${trouble}` : 'WRONG', className: 'bad' };
    return [name, output, reference.worst_error?.toExponential(1) ?? '∞', adapter.worst_error?.toExponential(1) ?? '∞', `${number(100 * used, 1)} %`, verdict];
  });
};

const runCases = (about) => alone('Running the conformance cases …', async () => {
  const names = await (await fetched('cases/index.json')).json();
  const cases = [];
  for (const [index, file] of names.entries()) {
    const name = file.replace(/\.safetensors$/, '');
    step('cases', index, names.length, name);
    const bytes = new Uint8Array(await (await fetched(`cases/${file}`)).arrayBuffer());
    cases.push(await call('check', [name, bytes], { transfer: [bytes.buffer] }));
    fill(element('cases-table'), cases.flatMap(casesRows));
  }
  step('cases', names.length, names.length, '');
  const passed = cases.filter((one) => one.passed).length;
  const said = `${passed} of ${cases.length} cases passed.`;
  element('cases-summary').textContent = said;
  element('cases-summary').className = passed === cases.length ? 'good' : 'bad';
  show('cases-note');
  say(said);
  return { ...context(), ...about, passed: passed === cases.length, cases };
});

const benchRow = (row) => ({
  className: row.operation.includes('/') ? 'part' : '',
  cells: [
    row.operation, row.shape, row.approximation, number(row.median_ms, 3), number(row.iqr_ms, 3), number(row.gflops, 1),
    { text: row.status, className: row.status === 'ok' ? 'good' : 'bad' },
  ],
});

const clockOf = ({ clock }) => (clock === 'timestamps' ? 'timestamps on the device' : `the browser’s clock around each run (${clock.wall})`);

const runBench = () => alone('Running the benchmark …', async () => {
  const shapes = element('bench-size').value.split(',');
  let done = 0;
  const onStep = (name, all) => {
    step('bench', done, all, name);
    say(`Measuring ${name}`);
    done += 1;
  };
  const report = await call('bench', [shapes, RUNS, SECONDS], { onStep });
  step('bench', done, done, '');
  fill(element('bench-table'), report.rows.map(benchRow));
  element('bench-summary').textContent = `Times by ${clockOf(report.adapter)}.`;
  show('bench-note');
  say('The benchmark is done.');
  return { ...context(), ...report };
});

/** Lets the visitor run both, and have what comes out. */
export const begin = (about) => {
  for (const [name, run] of [['cases', runCases], ['bench', runBench]]) {
    let report;
    element(`${name}-run`).disabled = false;
    element(`${name}-run`).addEventListener('click', async () => {
      report = (await run(about)) ?? report;
      show(`${name}-bar`, false);
      element(`${name}-save`).disabled = !report;
    });
    element(`${name}-save`).addEventListener('click', () => save(`orthoformer-${name}.json`, report));
  }
};
