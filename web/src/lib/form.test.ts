import { describe, expect, it } from 'vitest';
import { addCondition, attributeCondition, durationLiteral, emptyForm, formToQuery, queryToForm, serviceIn, type SearchForm } from './form';

const form = (part: Partial<SearchForm>): SearchForm => ({ ...emptyForm(), ...part });

describe('form ⇄ TraceQL', () => {
  const cases: [string, SearchForm][] = [
    ['{}', form({})],
    ['{ resource.service.name = "upstream" }', form({ service: 'upstream' })],
    ['{ name = "GET /a \\"b\\" \\\\ c" && status = error }', form({ name: 'GET /a "b" \\ c', status: 'error' })],
    ['{ duration >= 100ms && duration <= 1.5s }', form({ minDuration: '100ms', maxDuration: '1.5s' })],
    [
      '{ span.http.response.status_code >= 500 && .http.route != "/cart" && resource.k8s.pod.name =~ "a.*" }',
      form({
        attributes: [
          { key: 'span.http.response.status_code', operator: '>=', value: '500' },
          { key: '.http.route', operator: '!=', value: '/cart' },
          { key: 'resource.k8s.pod.name', operator: '=~', value: 'a.*' },
        ],
      }),
    ],
    ['{ span.code = "500" }', form({ attributes: [{ key: 'span.code', operator: '=', value: '"500"' }] })],
    ['{ span.ok = true }', form({ attributes: [{ key: 'span.ok', operator: '=', value: 'true' }] })],
  ];
  it.each(cases)('%s', (query, expected) => {
    expect(queryToForm(query)).toEqual(expected);
    expect(formToQuery(expected)).toBe(query);
  });

  it.each([
    '{ status = error || status = ok }',
    '{ duration > 200ms }',
    '{ name =~ "GET.*" }',
    '{ (status = error) }',
    '{ name = "a" && name = "b" }',
    '{ status = error',
    '{ name = "open }',
    '{ name = "a" status = error }',
    '{ name = "a" && }',
    'status = error',
    '{ kind = server }',
  ])('does not pretend to show %s', (query) => {
    expect(queryToForm(query)).toBeUndefined();
  });

  it('leaves out what is not filled in', () => {
    expect(formToQuery(form({ minDuration: 'soon', attributes: [{ key: ' ', operator: '=', value: 'x' }] }))).toBe('{}');
    expect(formToQuery(form({ attributes: [{ key: 'with space', operator: '=', value: 'x' }] }))).toBe('{ ."with space" = "x" }');
  });

  it('reads durations with and without a unit', () => {
    expect(durationLiteral('200')).toBe('200ms');
    expect(durationLiteral(' 1.5 s ')).toBe('1.5s');
    expect(durationLiteral('2 min')).toBe('2m');
    expect(durationLiteral('3 µs')).toBe('3us');
    expect(durationLiteral('')).toBeUndefined();
    expect(durationLiteral('-1s')).toBeUndefined();
  });

  it('finds the service that is asked for', () => {
    expect(serviceIn('{ duration > 1s || resource.service.name = "a b" }')).toBe('a b');
    expect(serviceIn('{ resource.service.name != "a" }')).toBe('');
    expect(serviceIn('{ .service.name = ')).toBe('');
  });

  it('adds a condition to any query', () => {
    expect(addCondition('{}', 'status = error')).toBe('{ status = error }');
    expect(addCondition('{ name = "a" }', 'status = error')).toBe('{ name = "a" && status = error }');
    expect(addCondition('{ name = "a||b" }', 'x')).toBe('{ name = "a||b" && x }');
    expect(addCondition('{ name = "a" || name = "b" }', 'x')).toBe('{ (name = "a" || name = "b") && x }');
  });

  it('writes a condition with the type the attribute has', () => {
    expect(attributeCondition('span', 'http.response.status_code', 'int', '200')).toBe('span.http.response.status_code = 200');
    expect(attributeCondition('resource', 'a b', 'string', '1')).toBe('resource."a b" = "1"');
  });
});
