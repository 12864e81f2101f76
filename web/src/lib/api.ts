// The server's answers as types, and one function that fetches.

/** A trace in a search result. */
export interface TraceSummary {
  traceId: string;
  rootService: string;
  rootName: string;
  rootMissing: boolean;
  startTimeUnixNano: string;
  durationNanos: number;
  spanCount: number;
  errorCount: number;
  services: { name: string; spans: number; errors: number }[];
  edgeNanos: number | null;
  /** The CDN's ids are derived from the request id. */
  derivedIds: boolean;
  /** The CDN kept its span although the trace was not sampled. */
  backendNotRecorded: boolean;
  errorExtent: [number, number] | null;
}

export interface SearchAnswer {
  traces: TraceSummary[];
  nextCursor: string | null;
  partial: string | null;
}

/** `type` decides what `value` is: arrays and lists nest, integers are decimal text. */
export interface Attribute {
  key: string;
  type: string;
  value: unknown;
}

export interface SpanEvent {
  timeUnixNano: string;
  name: string;
  attributes: Attribute[];
}

export interface SpanLink {
  traceId: string;
  spanId: string;
  attributes: Attribute[];
}

export interface SpanDetails {
  spanId: string;
  parentSpanId: string | null;
  name: string;
  kind: number | string;
  service: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  durationNanos: number;
  status: { code: number | string; message: string };
  traceState: string;
  flags: number;
  attributes: Attribute[];
  resource: { attributes: Attribute[]; schemaUrl: string };
  scope: { name: string; version: string; attributes: Attribute[] };
  events: SpanEvent[];
  links: SpanLink[];
  dropped: Record<string, number>;
  shiftNanos: number;
  conflicts: SpanDetails[];
}

export interface Status {
  spansReceived: number;
  spansPerSecond: number | null;
  newestSpanUnixNano: string | null;
  lastIngestUnixNano: string | null;
  storeBytes: number;
  storeMaxBytes: number | null;
  droppedSpans: number;
  refusedSpans: number;
  damagedBlocks: number;
  version: string;
}

/** What went wrong, in the server's words or ours. */
export class ApiError extends Error {
  override name = 'ApiError';
  status: number;
  hint: string;
  /** Byte offset in the query. */
  offset: number | undefined;
  /** Something to copy into a report. */
  detail: string;

  constructor(message: string, status: number, hint: string, offset: number | undefined, detail: string) {
    super(message);
    this.status = status;
    this.hint = hint;
    this.offset = offset;
    this.detail = detail;
  }
}

/** Whether an error only says that somebody cancelled. */
export function isCancelled(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

export async function fetchJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await (await request(path, signal)).json()) as T;
}

export async function fetchBytes(path: string, signal?: AbortSignal): Promise<ArrayBuffer> {
  return (await request(path, signal)).arrayBuffer();
}

/** An error as the page shows it, whatever was thrown. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new ApiError(message, 0, 'Reload the page. If it happens again, report the detail.', undefined, String(error));
}

async function request(path: string, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { signal: signal ?? null, headers: { accept: 'application/json, application/octet-stream' } });
  } catch (error) {
    if (isCancelled(error)) throw error;
    throw new ApiError('No answer from rootspan.', 0, 'Is it still running? Look at its log, then try again.', undefined, `GET ${path}: ${error}`);
  }
  if (!response.ok) throw await failure(path, response);
  return response;
}

/** The server's messages begin small, to be put after other words; here they stand alone. */
function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

async function failure(path: string, response: Response): Promise<ApiError> {
  const text = await response.text();
  const detail = `GET ${path}: ${response.status} ${text.slice(0, 2000)}`;
  try {
    const { error } = JSON.parse(text) as { error: { message: string; hint?: string; position?: { offset: number } } };
    return new ApiError(sentence(error.message), response.status, sentence(error.hint ?? ''), error.position?.offset, detail);
  } catch {
    return new ApiError(`rootspan answered ${response.status}.`, response.status, '', undefined, detail);
  }
}
