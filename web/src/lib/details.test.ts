import { expect, it } from 'vitest';
import type { SpanDetails } from './api';
import { differences, filterGroups, find, groupAttributes, kindName, statusName, valueText } from './details';
import { pathShares } from './path';
import { makeView } from './fixture';

const text = (key: string, value: string) => ({ key, type: 'string', value });

function details(more: Partial<SpanDetails> = {}): SpanDetails {
  return {
    spanId: '1', parentSpanId: null, name: 'n', kind: 2, service: 's', startTimeUnixNano: '1', endTimeUnixNano: '2', durationNanos: 1,
    status: { code: 0, message: '' }, traceState: '', flags: 0, attributes: [], resource: { attributes: [], schemaUrl: '' },
    scope: { name: '', version: '', attributes: [] }, events: [], links: [], dropped: {}, shiftNanos: 0, conflicts: [], ...more,
  };
}

it('groups attributes by what they are about', () => {
  const groups = groupAttributes(
    details({
      attributes: [text('db.system.name', 'x'), text('http.route', '/'), text('aws.cloudfront.request_id', 'r'), text('app.x', '1'), text('messaging.system', 'kafka')],
      resource: { attributes: [text('service.name', 's')], schemaUrl: '' },
    }),
  );
  expect(groups.map((group) => group.title)).toEqual(['HTTP', 'Database', 'Messaging', 'CDN', 'Other', 'Resource']);
  expect(filterGroups(groups, 'KAFKA').map((group) => group.title)).toEqual(['Messaging']);
  expect(filterGroups(groups, ' ')).toHaveLength(6);
});

it('writes values of every type', () => {
  expect(valueText('int', '9223372036854775807')).toBe('9223372036854775807');
  expect(valueText('bool', false)).toBe('false');
  expect(valueText('bytes', 'AAE=')).toBe('base64:AAE=');
  expect(valueText('array', [{ type: 'string', value: 'a' }, { type: 'int', value: '1' }])).toBe('["a","1"]');
  expect(valueText('kvlist', [{ key: 'a', type: 'array', value: [{ type: 'bool', value: true }] }])).toBe('{"a":[true]}');
  expect(valueText('array', ['plain', 1])).toBe('["plain",1]');
  expect(valueText('string', null)).toBe('');
});

it('reads kinds and states by number and by name', () => {
  expect([kindName(3), kindName('SPAN_KIND_CLIENT'), kindName(9)]).toEqual(['client', 'client', 'kind 9']);
  expect([statusName(2), statusName('STATUS_CODE_ERROR'), statusName('ok'), statusName(7)]).toEqual(['error', 'error', 'ok', 'unset']);
});

it('finds what a second version says differently', () => {
  const here = details({ attributes: [text('a', '1'), text('b', '2')] });
  const there = details({ attributes: [text('a', '1'), text('b', '3'), text('c', '4')], endTimeUnixNano: '9' });
  expect(differences(here, there)).toEqual([['end', '2', '9'], ['b', '2', '3'], ['c', '–', '4']]);
  expect(find(here.attributes, 'b')).toBe('2');
});

it('adds the path up by kind and service, to the whole', () => {
  const view = makeView(
    [
      { parent: -1, service: 'a', name: 'r', start: 0, duration: 100 },
      { parent: 0, service: 'b', name: 'c', start: 10, duration: 60 },
    ],
    [
      { row: 0, kind: 0, start: 0, end: 10 },
      { row: 1, kind: 2, start: 10, end: 70 },
      { row: 0, kind: 0, start: 70, end: 100 },
    ],
  );
  const shares = pathShares(view, view.header.paths[0]);
  expect(shares.map(({ service, kind, nanos }) => [service, kind, nanos])).toEqual([['b', 2, 60], ['a', 0, 40]]);
  expect(shares.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
});
