// Attributes of a span: their text, their groups, what differs between two versions. Names and values are hostile input;
// nothing here makes markup.

import type { Attribute, SpanDetails } from './api';

/** A titled list of attributes. */
export interface AttributeGroup {
  title: string;
  /** Scope in TraceQL. */
  scope: 'span' | 'resource' | 'instrumentation';
  attributes: Attribute[];
}

const GROUPS: [string, RegExp][] = [
  ['CDN', /^(aws\.cloudfront\.|cdn\.|rootspan\.)/],
  ['Database', /^(db\.|redis\.)/],
  ['Messaging', /^messaging\./],
  ['RPC', /^rpc\./],
  ['HTTP', /^(http\.|url\.|user_agent\.|client\.|server\.|network\.|net\.)/],
  ['Error', /^(error\.|exception\.)/],
];

const ORDER = ['Error', 'HTTP', 'Database', 'Messaging', 'RPC', 'CDN', 'Other'];

/** Groups in the order people read them, resource and scope last. */
export function groupAttributes(details: SpanDetails): AttributeGroup[] {
  const byTitle = new Map<string, Attribute[]>();
  for (const attribute of details.attributes) {
    const title = GROUPS.find(([, pattern]) => pattern.test(attribute.key))?.[0] ?? 'Other';
    byTitle.set(title, [...(byTitle.get(title) ?? []), attribute]);
  }
  const groups: AttributeGroup[] = ORDER.filter((title) => byTitle.has(title)).map((title) => ({
    title,
    scope: 'span',
    attributes: byTitle.get(title) ?? [],
  }));
  if (details.resource.attributes.length > 0) {
    groups.push({ title: 'Resource', scope: 'resource', attributes: details.resource.attributes });
  }
  if (details.scope.attributes.length > 0) {
    groups.push({ title: 'Scope', scope: 'instrumentation', attributes: details.scope.attributes });
  }
  return groups;
}

/** Groups with only what contains `text` in key or value. */
export function filterGroups(groups: AttributeGroup[], text: string): AttributeGroup[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === '') return groups;
  const contains = ({ key, type, value }: Attribute) =>
    key.toLowerCase().includes(wanted) || valueText(type, value).toLowerCase().includes(wanted);
  return groups
    .map((group) => ({ ...group, attributes: group.attributes.filter(contains) }))
    .filter((group) => group.attributes.length > 0);
}

/** A value as text: strings as they are, lists and maps as compact JSON. */
export function valueText(type: string, value: unknown): string {
  if (value === null || value === undefined) return '';
  if (type === 'bytes') return `base64:${String(value)}`;
  return typeof value === 'object' ? JSON.stringify(plain(value)) : String(value);
}

/** Whether a value can be asked for in a query; numbers that are none cannot. */
export function isQueryable(type: string, value: unknown): boolean {
  return type === 'string' || type === 'int' || type === 'bool' || (type === 'double' && Number.isFinite(value));
}

/** Value of the first attribute with this key. */
export function find(attributes: Attribute[], key: string): string | undefined {
  const attribute = attributes.find((a) => a.key === key);
  return attribute === undefined ? undefined : valueText(attribute.type, attribute.value);
}

/** OTLP kind, by number or by name. */
export function kindName(kind: number | string): string {
  const names = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'];
  return typeof kind === 'number' ? (names[kind] ?? `kind ${kind}`) : kind.replace(/^SPAN_KIND_/, '').toLowerCase();
}

/** Status code, by number or by name. */
export function statusName(code: number | string): 'unset' | 'ok' | 'error' {
  const text = String(code).replace(/^STATUS_CODE_/, '').toLowerCase();
  if (text === '2' || text === 'error') return 'error';
  return text === '1' || text === 'ok' ? 'ok' : 'unset';
}

/** What a second version of a span says differently: key, here, there. */
export function differences(here: SpanDetails, there: SpanDetails): [string, string, string][] {
  const fields = (d: SpanDetails): [string, string][] => [
    ['name', d.name],
    ['start', d.startTimeUnixNano],
    ['end', d.endTimeUnixNano],
    ['parent', d.parentSpanId ?? ''],
    ['status', `${statusName(d.status.code)} ${d.status.message}`.trim()],
    ...d.attributes.map(({ key, type, value }): [string, string] => [key, valueText(type, value)]),
    ...d.resource.attributes.map(({ key, type, value }): [string, string] => [`resource.${key}`, valueText(type, value)]),
  ];
  const a = new Map(fields(here));
  const b = new Map(fields(there));
  const keys = [...new Set([...a.keys(), ...b.keys()])];
  return keys.filter((key) => a.get(key) !== b.get(key)).map((key) => [key, a.get(key) ?? '–', b.get(key) ?? '–']);
}

/** Nested values come as `{type, value}` (lists) and `{key, type, value}` (maps); shown without that wrapping. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) {
    const isMap = value.length > 0 && value.every((v) => v !== null && typeof v === 'object' && 'key' in v);
    if (isMap) return Object.fromEntries(value.map((v: Attribute) => [v.key, plain(v.value)]));
    return value.map(plain);
  }
  if (value !== null && typeof value === 'object') {
    if ('type' in value && 'value' in value) return plain(value.value);
    return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, plain(v)]));
  }
  return value;
}
