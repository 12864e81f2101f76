import { describe, expect, it } from 'vitest';
import { edgeHref, readEdge, readSearch, readTrace, routeOf, searchHref, traceHref, type EdgeAddress, type SearchAddress, type TraceAddress } from './address';
import { rangeSeconds } from './range';

const params = (href: string) => new URL(href, 'http://h').searchParams;

describe('addresses', () => {
  it('come back as they were written: search', () => {
    const addresses: SearchAddress[] = [
      { query: '{}', range: { kind: 'last', last: '1h' }, live: false },
      { query: '{ name = "a&b=c #%" }', range: { kind: 'last', last: '24h' }, live: true },
      { query: '{ status = error }', range: { kind: 'between', start: 1_764_094_203_000, end: 1_764_094_999_000 }, live: false },
    ];
    for (const address of addresses) expect(readSearch(params(searchHref(address)))).toEqual(address);
    expect(searchHref(addresses[0])).toBe('/');
    expect(searchHref({ ...addresses[0], query: ' {  } ' })).toBe('/');
  });

  it('come back as they were written: edge', () => {
    const plain: EdgeAddress = {
      range: { kind: 'last', last: '1h' }, live: false, distribution: undefined, behaviour: undefined, sort: '-records', metric: 'records',
      from: undefined, to: undefined, closed: [], listed: false,
    };
    const full: EdgeAddress = {
      range: { kind: 'between', start: 1_764_094_203_000, end: 1_764_094_999_000 }, live: true, distribution: 'd1.cloudfront.net', behaviour: '/a b/*?&',
      sort: 'delay', metric: 'errors', from: 1_764_094_260_000, to: 1_764_094_320_000, closed: ['d2.cloudfront.net', 'd3, d4'], listed: true,
    };
    // A log without the field has the empty behaviour; that is not the whole distribution.
    for (const address of [plain, full, { ...full, behaviour: '' }, { ...full, behaviour: undefined }]) {
      expect(readEdge(params(edgeHref(address)))).toEqual(address);
    }
    expect(edgeHref(plain)).toBe('/edge');
    expect(edgeHref({})).toBe('/edge');
    expect(readEdge(params('/edge?behaviour=x&metric=__proto__&sort=<b>&from=9&to=3'))).toEqual(plain);
  });

  it('come back as they were written: trace', () => {
    const address: TraceAddress = {
      traceId: 'ab'.repeat(16), span: '00000000000000aa', from: 1000, to: 2_000_000_000, find: 'db', pathOnly: true, raw: true, closed: ['00000000000000ab', '00000000000000ac'],
      opened: ['00000000000000ad'], live: true,
    };
    expect(readTrace(address.traceId, params(traceHref(address)))).toEqual(address);
    expect(traceHref({ traceId: 'ab' })).toBe('/trace/ab');
  });

  it('ignore what nobody wrote', () => {
    expect(readSearch(params('/?range=9y&start=x&end=1')).range).toEqual({ kind: 'last', last: '1h' });
    const read = readTrace('ab', params('/?span=%3Cscript%3E&from=NaN&to=&closed=zz.1'));
    expect(read).toMatchObject({ span: '', from: undefined, to: undefined, closed: [] });
  });

  it('lead to pages', () => {
    expect(routeOf('/')).toEqual({ page: 'search' });
    expect(routeOf('/edge')).toEqual({ page: 'edge' });
    expect(routeOf('/trace/ABC')).toEqual({ page: 'trace', traceId: 'abc'.padStart(32, '0') });
    expect(routeOf('/trace/xyz')).toEqual({ page: 'unknown' });
  });
});

it('a relative range ends after now, everything has no bounds', () => {
  expect(rangeSeconds({ kind: 'last', last: '5m' }, 1_000_000)).toEqual({ start: 700, end: 1060 });
  expect(rangeSeconds({ kind: 'last', last: 'all' }, 1_000_000)).toBeUndefined();
});
