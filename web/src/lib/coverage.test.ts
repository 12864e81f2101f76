import { describe, expect, it } from 'vitest';
import { addCounts, axis, coveredSeconds, errorsOf, extentOf, fates, findingText, groupFindings, mergeSteps, sortCoverage, tracesHref, type Counts, type CoverageAnswer, type CoverageBehaviour } from './coverage';

const MINUTE = 60_000;
const START = 1_764_094_200_000;
const nanos = (millis: number) => `${millis}000000`;

function counts(more: Partial<Counts> = {}): Counts {
  return { ...addCounts([]), ...more };
}

function behaviour(name: string, ...steps: [number, Partial<Counts>][]): CoverageBehaviour {
  const made = steps.map(([minute, more]) => ({ ...counts(more), startTimeUnixNano: nanos(START + minute * MINUTE) }));
  return { behaviour: name, totals: addCounts(made), steps: made };
}

function answer(minutes: number, behaviours: CoverageBehaviour[] = []): CoverageAnswer {
  return {
    startTimeUnixNano: nanos(START), endTimeUnixNano: nanos(START + minutes * MINUTE), stepNanos: MINUTE * 1e6, totals: counts(),
    distributions: [{ distribution: 'd1', totals: counts(), behaviours }], findings: [], partial: null,
  };
}

describe('coverage', () => {
  it('has a step for every minute, and nothing where nothing came', () => {
    const { steps } = behaviour('*', [1, { records: 3 }], [3, { records: 5 }]);
    const found = axis(answer(5), steps);
    expect(found.map((step) => step.counts?.records)).toEqual([undefined, 3, undefined, 5, undefined]);
    expect(found.map((step) => step.start - START)).toEqual([0, 1, 2, 3, 4].map((minute) => minute * MINUTE));
  });

  it('does not draw without end, whatever the server says', () => {
    expect(axis(answer(10_000_000), []).length).toBe(2_000);
    expect(axis({ ...answer(1), endTimeUnixNano: nanos(START - MINUTE) }, [])).toEqual([]);
  });

  it('adds up counts and names, and takes the highest percentile', () => {
    const sum = addCounts([
      counts({ records: 2, resultTypes: { Hit: 2 }, delayP99Nanos: 5, durationP50Nanos: null }),
      counts({ records: 3, resultTypes: { Hit: 1, Miss: 2 }, delayP99Nanos: 3, durationP50Nanos: 7 }),
    ]);
    expect(sum).toMatchObject({ records: 5, resultTypes: { Hit: 3, Miss: 2 }, delayP99Nanos: 5, durationP50Nanos: 7, delayP50Nanos: null });
  });

  it('merges behaviours by step, oldest first, and leaves them as they were', () => {
    const [a, b] = [behaviour('a', [2, { records: 1 }], [4, { records: 2 }]), behaviour('b', [1, { records: 4 }], [2, { records: 8 }])];
    expect(mergeSteps([a, b]).map(({ records }) => records)).toEqual([4, 9, 2]);
    expect(a.steps[0].records).toBe(1);
  });

  it('says what became of every record', () => {
    const parts = { sampled: 5, sampledOut: 4, kept: 3, thinned: 2, unplaced: 1, secondary: 6 };
    const all = fates(counts({ ...parts, records: 21, redelivered: 9, derived: 5 }));
    expect(all.map(([, count]) => count).reduce((sum, count) => sum + count, 0)).toBe(21);
    expect(fates(counts({ sampled: 5, unplaced: 1 }))).toEqual([['sampled', 5], ['unplaced', 1]]);
  });

  it('knows where its records lie', () => {
    expect(extentOf(answer(60))).toBeUndefined();
    const found = extentOf(answer(60, [behaviour('a', [3, { records: 1 }], [9, { records: 1 }]), behaviour('b', [5, { records: 1 }])]));
    expect(found).toEqual({ start: START + 3 * MINUTE, end: START + 10 * MINUTE });
  });

  it('counts as errors what failed and what got no answer', () => {
    expect(errorsOf(counts({ statusClasses: { '2xx': 9, '4xx': 4, '5xx': 2, '000': 1 } }))).toBe(3);
  });

  it('covers the time up to now', () => {
    expect(coveredSeconds(answer(60), START + 30 * MINUTE)).toBe(1_800);
    expect(coveredSeconds(answer(60), START + 90 * MINUTE)).toBe(3_600);
    expect(coveredSeconds(answer(60), START - MINUTE), 'a clock that is behind').toBe(60);
  });

  it('sorts distributions and behaviours by a column, and by name where that says nothing', () => {
    const row = (distribution: string, records: number, ...behaviours: CoverageBehaviour[]) => ({ distribution, totals: counts({ records }), behaviours });
    const all = [row('b', 5, behaviour('y', [0, { records: 1 }]), behaviour('x', [0, { records: 4 }])), row('c', 5), row('a', 9)];
    const order = (sort: string) => sortCoverage(all, sort).map(({ distribution, behaviours }) => distribution + behaviours.map((b) => b.behaviour).join(''));
    expect(order('-records')).toEqual(['a', 'bxy', 'c']);
    expect(order('records')).toEqual(['byx', 'c', 'a']);
    expect(order('-name')).toEqual(['c', 'byx', 'a']);
    expect(order('__proto__')).toEqual(['a', 'bxy', 'c']);
  });

  it('asks for the CDN spans of a behaviour, whose name is anything', () => {
    const query = (href: string) => new URL(href, 'http://h').searchParams.get('q');
    expect(query(tracesHref({ distribution: 'd1.cloudfront.net' }, 'errors', 1, 2))).toBe('{ instrumentation:name = "rootspan/cloudfront" && span.aws.cloudfront.distribution_domain = "d1.cloudfront.net" && status = error }');
    expect(query(tracesHref({ distribution: 'E1', behaviour: '*' }, 'all', 1, 2))).toBe('{ instrumentation:name = "rootspan/cloudfront" && span.aws.cloudfront.distribution_id = "E1" && span.aws.cloudfront.cache_behavior = "*" }');
    expect(query(tracesHref({}, 'all', 1, 2))).toBe('{ instrumentation:name = "rootspan/cloudfront" }');
    expect(query(tracesHref({ distribution: '', behaviour: '' }, 'misses', 1, 2))).toBe('{ instrumentation:name = "rootspan/cloudfront" && span.aws.cloudfront.response_result_type = "Miss" }');
    expect(query(tracesHref({ behaviour: '/"}*' }, 'kept', 1, 2))).toBe('{ instrumentation:name = "rootspan/cloudfront" && span.aws.cloudfront.cache_behavior = "/\\"}*" && span.rootspan.kept_by != nil }');
  });

  it('groups findings with the same advice, the most urgent first', () => {
    const finding = (kind: string, behaviour: string, check: string, ...traces: string[]) => ({ kind, distribution: 'd1', behaviour, count: 1, of: 3, check, traces });
    const groups = groupFindings([finding('late', 'a', 'x', 't1', 't2'), finding('new_kind', 'b', 'y'), finding('late', 'c', 'x', 't2', 't3', 't4', 't5', 't6'), finding('late', 'd', 'z')]);
    expect(groups.map(({ text, check, places }) => [text, check, places.map(({ behaviour: name }) => name).join('')])).toEqual([
      ['Records that came late', 'x', 'ac'], ['new kind', 'y', 'b'], ['Records that came late', 'z', 'd'],
    ]);
    expect(groups[0].traces).toEqual(['t1', 't2', 't3', 't4', 't5']);
    expect(findingText('__proto__')).toBe('  proto  ');
  });
});
