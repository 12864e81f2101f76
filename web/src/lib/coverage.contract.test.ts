// The made-up answer of the page tests has the form of the real server's, which `crates/query/src/api/edge/tests.rs` writes.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { coverage } from '../../test/coverage.mjs';
import { addCounts, type CoverageAnswer } from './coverage';

const REAL = fileURLToPath(new URL('../../../testdata/edge-coverage/answer.json', import.meta.url));
const real = JSON.parse(readFileSync(REAL, 'utf8')) as CoverageAnswer;
const NOW = 1_764_094_200_000;
const madeUp = coverage(NOW - 3_600_000, NOW, ['ab'.repeat(16)], NOW) as unknown as CoverageAnswer;

/** The parts of an answer that are objects of a kind. */
function parts(answer: CoverageAnswer): Record<string, object> {
  const [distribution] = answer.distributions;
  const [behaviour] = distribution.behaviours;
  return { answer, totals: answer.totals, distribution, behaviour, step: behaviour.steps[0], finding: answer.findings[0] };
}

describe('the contract of edge coverage', () => {
  it('is kept by the made-up answer', () => {
    const [made, sent] = [parts(madeUp), parts(real)];
    for (const [name, object] of Object.entries(sent)) {
      expect(Object.keys(made[name]).sort(), name).toEqual(Object.keys(object).sort());
    }
    expect(Object.keys(madeUp.totals.statusClasses).sort()).toEqual(Object.keys(real.totals.statusClasses).sort());
    expect(typeof madeUp.startTimeUnixNano).toBe(typeof real.startTimeUnixNano);
  });

  it('has counts that add up, as the page adds them', () => {
    const sum = addCounts(real.distributions.flatMap(({ behaviours }) => behaviours.flatMap(({ steps }) => steps)));
    const { delayP50Nanos: _1, delayP99Nanos: _2, durationP50Nanos: _3, durationP99Nanos: _4, ...sums } = real.totals;
    expect(sum).toMatchObject(sums);
    expect(sums.sampled + sums.sampledOut + sums.kept + sums.thinned + sums.unplaced + sums.secondary).toBe(sums.records);
  });
});
