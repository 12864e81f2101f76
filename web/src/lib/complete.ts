// What may come next in a query line. Knows TraceQL's fields and takes services and operations from the server.

import { quote, tokenize, type Token } from './tokens';

/** A proposal: replaces the text between `from` and `to`. */
export interface Completion {
  label: string;
  insert: string;
  detail: string;
}

/** What is proposed at a place. */
export interface Completions {
  from: number;
  to: number;
  options: Completion[];
}

/** Names that only the server knows. */
export interface Names {
  services: string[];
  operations: string[];
}

const MOST_OPTIONS = 12;

const FIELDS: [string, string][] = [
  ['resource.service.name', 'service'],
  ['name', 'span name'],
  ['duration', 'of the span'],
  ['status', 'error, ok, unset'],
  ['kind', 'server, client, …'],
  ['statusMessage', 'text of the status'],
  ['rootServiceName', 'service of the root'],
  ['rootName', 'name of the root'],
  ['traceDuration', 'of the whole trace'],
  ['trace:id', 'hex'],
  ['span:id', 'hex'],
  ['span:parentID', 'hex'],
  ['event:name', 'name of an event'],
  ['instrumentation:name', 'library'],
  ['instrumentation:version', 'library version'],
  ['span.', 'attribute of the span'],
  ['resource.', 'attribute of the resource'],
  ['event.', 'attribute of an event'],
  ['link.', 'attribute of a link'],
  ['instrumentation.', 'attribute of the scope'],
];

/** Attribute keys of the semantic conventions people filter by. */
const KNOWN_KEYS: Record<string, string[]> = {
  span: [
    'http.request.method', 'http.response.status_code', 'http.route', 'url.path', 'url.full', 'url.query', 'server.address',
    'server.port', 'client.address', 'user_agent.original', 'network.protocol.version', 'error.type', 'db.system.name',
    'db.query.text', 'db.collection.name', 'db.operation.name', 'db.namespace', 'messaging.system',
    'messaging.destination.name', 'messaging.operation.type', 'messaging.kafka.consumer.group', 'rpc.system', 'rpc.service',
    'rpc.method', 'aws.cloudfront.request_id', 'aws.cloudfront.distribution_id', 'aws.cloudfront.distribution_domain', 'aws.cloudfront.context', 'aws.cloudfront.edge_location',
    'aws.cloudfront.result_type', 'aws.cloudfront.response_result_type', 'aws.cloudfront.detailed_result_type',
    'aws.cloudfront.cache_behavior', 'aws.cloudfront.time_to_first_byte', 'aws.cloudfront.time_taken',
  ],
  resource: [
    'service.name', 'service.namespace', 'service.version', 'service.instance.id', 'deployment.environment.name', 'host.name',
    'k8s.namespace.name', 'k8s.pod.name', 'k8s.deployment.name', 'k8s.node.name', 'container.id', 'cloud.provider',
    'cloud.region', 'telemetry.sdk.language', 'process.pid',
  ],
  event: ['exception.type', 'exception.message'],
  link: [],
  instrumentation: [],
};

const VALUES: Record<string, string[]> = {
  status: ['error', 'ok', 'unset'],
  kind: ['server', 'client', 'producer', 'consumer', 'internal', 'unspecified'],
  duration: ['100ms', '500ms', '1s', '5s'],
  traceDuration: ['100ms', '500ms', '1s', '5s'],
};

const COMPARISONS = ['=', '!=', '=~', '!~', '>', '>=', '<', '<='];

/** Proposals for the place `caret` in `text`. */
export function complete(text: string, caret: number, names: Names): Completions {
  const tokens = tokenize(text);
  const touched = tokens.find((t) => t.from < caret && caret <= t.to && isWordLike(t));
  const before = tokens.filter((t) => t.to <= caret && t !== touched);
  const typed = touched === undefined ? '' : text.slice(touched.from, caret);
  const from = touched?.from ?? caret;
  const to = touched?.to ?? caret;
  const last = before[before.length - 1];
  const options = optionsAfter(last, before[before.length - 2], typed, names);
  const matching = options.filter((option) => matches(option.label, typed) && option.insert !== typed);
  return { from, to, options: rank(matching, typed).slice(0, MOST_OPTIONS) };
}

function isWordLike(token: Token): boolean {
  return token.kind === 'word' || token.kind === 'string' || token.kind === 'number' || token.text === '.';
}

function optionsAfter(last: Token | undefined, field: Token | undefined, typed: string, names: Names): Completion[] {
  if (last === undefined) return [{ label: '{', insert: '{ ', detail: 'a filter over spans' }];
  if (last.kind === 'operator' && COMPARISONS.includes(last.text) && field !== undefined) return valuesOf(field.text, names);
  if (last.text === '&&' || last.text === '||' || last.text === '!' || last.kind === 'open') return fields(typed);
  if (last.kind === 'word' && typed === '' && !/^(error|ok|unset|true|false|nil)$/.test(last.text)) {
    return COMPARISONS.map((operator) => ({ label: operator, insert: `${operator} `, detail: 'compare' }));
  }
  if (last.text === '}') return [];
  return ['&&', '||'].map((operator) => ({ label: operator, insert: `${operator} `, detail: operator === '&&' ? 'and' : 'or' }));
}

function fields(typed: string): Completion[] {
  const scope = /^(span|resource|event|link|instrumentation)?\./.exec(typed);
  if (scope !== null) {
    const keys = scope[1] === undefined ? [...KNOWN_KEYS['span'], ...KNOWN_KEYS['resource']] : KNOWN_KEYS[scope[1]];
    return keys.map((key) => ({ label: scope[0] + key, insert: `${scope[0]}${key} `, detail: 'attribute' }));
  }
  return FIELDS.map(([field, detail]) => ({ label: field, insert: field.endsWith('.') ? field : `${field} `, detail }));
}

function valuesOf(field: string, names: Names): Completion[] {
  const known = VALUES[field];
  if (known !== undefined) return known.map((value) => ({ label: value, insert: `${value} `, detail: field }));
  if (/^(resource)?\.service\.name$/.test(field) || field === 'rootServiceName') {
    return names.services.map((name) => ({ label: quote(name), insert: `${quote(name)} `, detail: 'service' }));
  }
  if (field === 'name' || field === 'rootName') {
    return names.operations.map((name) => ({ label: quote(name), insert: `${quote(name)} `, detail: 'span name' }));
  }
  return [];
}

function matches(label: string, typed: string): boolean {
  return label.toLowerCase().includes(typed.replace(/^["`]/, '').toLowerCase());
}

/** What begins with the typed text comes first. */
function rank(options: Completion[], typed: string): Completion[] {
  const start = typed.toLowerCase();
  const begins = options.filter((option) => option.label.toLowerCase().startsWith(start));
  return [...begins, ...options.filter((option) => !begins.includes(option))];
}
