import { expect, it } from 'vitest';
import { complete } from './complete';

const NAMES = { services: ['cloudfront', 'upstream', 'up "quoted"'], operations: ['GET /cart', 'POST /checkout'] };

/** Labels proposed where `|` stands. */
function labels(marked: string): string[] {
  const caret = marked.indexOf('|');
  return complete(marked.replace('|', ''), caret, NAMES).options.map((option) => option.label);
}

it('begins with a filter', () => {
  expect(labels('|')).toEqual(['{']);
});

it('proposes fields, those that begin with the text first', () => {
  expect(labels('{ stat|')).toEqual(['status', 'statusMessage']);
  expect(labels('{ status = error && dur|')).toEqual(['duration', 'traceDuration']);
});

it('proposes attribute keys within a scope', () => {
  expect(labels('{ span.http.ro|')).toEqual(['span.http.route']);
  expect(labels('{ resource.k8s.pod|')).toEqual(['resource.k8s.pod.name']);
  expect(labels('{ .db.sys|')).toEqual(['.db.system.name']);
});

it('proposes values of the field', () => {
  expect(labels('{ status = |')).toEqual(['error', 'ok', 'unset']);
  expect(labels('{ kind = cl|')).toEqual(['client']);
  expect(labels('{ resource.service.name = "up|')).toEqual(['"upstream"', '"up \\"quoted\\""']);
  expect(labels('{ name = |')).toEqual(['"GET /cart"', '"POST /checkout"']);
});

it('proposes comparisons after a field and connections after a value', () => {
  expect(labels('{ duration |')).toContain('>=');
  expect(labels('{ duration > 1s |')).toEqual(['&&', '||']);
  expect(labels('{ status = error |')).toEqual(['&&', '||']);
});

it('replaces the word it is in', () => {
  const text = '{ resource.service.name = "up" }';
  const { from, to, options } = complete(text, text.indexOf('up') + 2, NAMES);
  expect(text.slice(0, from) + options[0].insert + text.slice(to)).toBe('{ resource.service.name = "upstream"  }');
});
