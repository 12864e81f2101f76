// The search form ⇄ TraceQL. The query text is the truth: the form is read from it and written back to it. A query that
// says more than the form can show (`||`, arithmetic, other fields) reads as `undefined`.

import { quote, stringValue, tokenize, type Token } from './tokens';

/** One attribute condition, `span.http.route = "/cart"`. */
export interface AttributeCondition {
  key: string;
  operator: string;
  value: string;
}

/** What the form shows. */
export interface SearchForm {
  service: string;
  name: string;
  minDuration: string;
  maxDuration: string;
  status: '' | 'error' | 'ok' | 'unset';
  attributes: AttributeCondition[];
}

/** Operators the form offers for attributes. */
export const OPERATORS = ['=', '!=', '=~', '!~', '>', '>=', '<', '<='];

/** Nothing asked. */
export function emptyForm(): SearchForm {
  return { service: '', name: '', minDuration: '', maxDuration: '', status: '', attributes: [] };
}

/** The query for a form. */
export function formToQuery(form: SearchForm): string {
  const conditions: string[] = [];
  if (form.service !== '') conditions.push(`resource.service.name = ${quote(form.service)}`);
  if (form.name !== '') conditions.push(`name = ${quote(form.name)}`);
  const min = durationLiteral(form.minDuration);
  if (min !== undefined) conditions.push(`duration >= ${min}`);
  const max = durationLiteral(form.maxDuration);
  if (max !== undefined) conditions.push(`duration <= ${max}`);
  if (form.status !== '') conditions.push(`status = ${form.status}`);
  for (const { key, operator, value } of form.attributes) {
    if (key.trim() !== '') conditions.push(`${attributeField(key.trim())} ${operator} ${valueLiteral(operator, value)}`);
  }
  return conditions.length === 0 ? '{}' : `{ ${conditions.join(' && ')} }`;
}

/** The form for a query, or `undefined` when the form cannot show all of it. */
export function queryToForm(query: string): SearchForm | undefined {
  const tokens = tokenize(query);
  if (tokens.length === 0) return emptyForm();
  if (tokens[0].text !== '{' || tokens[tokens.length - 1].text !== '}') return undefined;
  const form = emptyForm();
  const body = tokens.slice(1, -1);
  if (body.length === 0) return form;
  for (let at = 0; at < body.length; at += 4) {
    const [field, operator, value, and] = body.slice(at, at + 4);
    if (value === undefined || !isComparison(field, operator, value)) return undefined;
    const last = at + 3 >= body.length;
    if (!last && (and.text !== '&&' || at + 4 >= body.length)) return undefined;
    if (!takeCondition(form, field.text, operator.text, value)) return undefined;
  }
  return form;
}

/** The service a query asks for, wherever it says so; empty without one. */
export function serviceIn(query: string): string {
  const tokens = tokenize(query);
  const at = tokens.findIndex((token, i) => /^(resource)?\.service\.name$/.test(token.text) && tokens[i + 1]?.text === '=');
  return at !== -1 && tokens[at + 2]?.kind === 'string' ? stringValue(tokens[at + 2]) : '';
}

/** Adds a condition to a query without losing what it says. */
export function addCondition(query: string, condition: string): string {
  const inner = query.trim().replace(/^\{/, '').replace(/\}$/, '').trim();
  if (inner === '') return `{ ${condition} }`;
  const needsParentheses = tokenize(inner).some((token) => token.text === '||');
  return `{ ${needsParentheses ? `(${inner})` : inner} && ${condition} }`;
}

/** A condition on an attribute as it was received. */
export function attributeCondition(scope: string, key: string, type: string, value: string): string {
  const literal = type === 'int' || type === 'double' || type === 'bool' ? value : quote(value);
  return `${scope}.${quotedKey(key)} = ${literal}`;
}

/** `200`, `200 ms`, `1.5s` → a TraceQL duration (a bare number is milliseconds), or `undefined`. */
export function durationLiteral(text: string): string | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s|m|min|h)?\s*$/.exec(text);
  if (match === null) return undefined;
  const unit = match[2] === 'min' ? 'm' : match[2] === 'µs' ? 'us' : (match[2] ?? 'ms');
  return match[1] + unit;
}

function isComparison(field: Token, operator: Token, value: Token): boolean {
  return field.kind === 'word' && operator.kind === 'operator' && OPERATORS.includes(operator.text) && isValue(value);
}

function isValue(token: Token): boolean {
  return (token.kind === 'string' || token.kind === 'number' || token.kind === 'word') && !token.unclosed;
}

/** Puts one condition into its place in the form; false when there is none. */
function takeCondition(form: SearchForm, field: string, operator: string, value: Token): boolean {
  const text = value.kind === 'string' ? stringValue(value) : value.text;
  if (field === 'resource.service.name' && operator === '=' && value.kind === 'string' && form.service === '') {
    form.service = text;
  } else if (field === 'name' && operator === '=' && value.kind === 'string' && form.name === '') {
    form.name = text;
  } else if (field === 'duration' && operator === '>=' && value.kind === 'number' && form.minDuration === '') {
    form.minDuration = text;
  } else if (field === 'duration' && operator === '<=' && value.kind === 'number' && form.maxDuration === '') {
    form.maxDuration = text;
  } else if (field === 'status' && operator === '=' && form.status === '' && /^(error|ok|unset)$/.test(text)) {
    form.status = text as SearchForm['status'];
  } else if (/^(span|resource|event|link|instrumentation)?\./.test(field)) {
    // A string that looks like a number must stay a string.
    const ambiguous = value.kind === 'string' && valueLiteral(operator, text) !== quote(text);
    form.attributes.push({ key: field, operator, value: ambiguous ? quote(text) : text });
  } else {
    return false;
  }
  return true;
}

/** `http.route` means the span's or the resource's. */
function attributeField(key: string): string {
  if (/^(span|resource|event|link|instrumentation)\./.test(key) || key.startsWith('.')) return key;
  return `.${quotedKey(key)}`;
}

function quotedKey(key: string): string {
  return /^[A-Za-z_][\w.\-/]*$/.test(key) ? key : quote(key);
}

function valueLiteral(operator: string, value: string): string {
  const text = value.trim();
  if (operator === '=~' || operator === '!~') return quote(value);
  if (/^"(?:[^"\\]|\\.)*"$/s.test(text)) return text;
  if (/^-?\d+(\.\d+)?(ns|us|ms|s|m|h)?$/.test(text) || text === 'true' || text === 'false' || text === 'nil') return text;
  return quote(value);
}
