// A search and its answers: first page, further pages by cursor, quiet refresh, cancel.

import { ApiError, asApiError, fetchJson, isCancelled, type SearchAnswer, type TraceSummary } from '../lib/api';
import { rangeSeconds, type TimeRange } from '../lib/range';

const PAGE = 50;

export class Search {
  traces = $state.raw<TraceSummary[]>([]);
  partial = $state<string | null>(null);
  error = $state.raw<ApiError>();
  /** An answer has come, be it empty. */
  answered = $state(false);
  busy = $state(false);
  /** Milliseconds the running request has taken. */
  waited = $state(0);
  cancelled = $state(false);
  next = $state<string | null>(null);
  #running: AbortController | undefined;
  #query = '';
  #bounds: { start: number; end: number } | undefined;

  /** Starts over with another question. */
  async run(query: string, range: TimeRange): Promise<void> {
    this.#query = query;
    this.#bounds = rangeSeconds(range, Date.now());
    await this.#ask(undefined, (answer) => {
      this.traces = answer.traces;
      this.next = answer.nextCursor;
    });
  }

  /** Adds the next page. */
  async more(): Promise<void> {
    if (this.next === null || this.busy) return;
    await this.#ask(this.next, (answer) => {
      const known = new Set(this.traces.map((trace) => trace.traceId));
      this.traces = [...this.traces, ...answer.traces.filter((trace) => !known.has(trace.traceId))];
      this.next = answer.nextCursor;
    });
  }

  /** An answer without a trace is on show. */
  get isEmpty(): boolean {
    return this.answered && this.traces.length === 0 && this.error === undefined;
  }

  /** Asks for the newest again, without a sign of it, and keeps older pages that are on show. */
  async refresh(range: TimeRange): Promise<void> {
    if (this.#running !== undefined) return;
    const bounds = rangeSeconds(range, Date.now());
    this.#bounds = bounds;
    await this.#ask(undefined, (answer) => {
      const fresh = new Set(answer.traces.map((trace) => trace.traceId));
      const older = this.traces.slice(PAGE).filter((trace) => !fresh.has(trace.traceId));
      this.traces = [...answer.traces, ...older];
      if (older.length === 0) this.next = answer.nextCursor;
    }, true);
  }

  /** Gives up waiting; what was there stays. */
  cancel(): void {
    this.#running?.abort();
    this.cancelled = true;
    this.#settle();
  }

  /** Forgets the request without a word: the page is left. */
  leave(): void {
    this.#running?.abort();
  }

  /** A quiet question changes nothing on show until its answer is there; silence is said by the status line. */
  async #ask(cursor: string | undefined, take: (answer: SearchAnswer) => void, isQuiet = false): Promise<void> {
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    this.busy = !isQuiet;
    if (!isQuiet) this.cancelled = false;
    const since = Date.now();
    this.waited = 0;
    const timer = setInterval(() => (this.waited = Date.now() - since), 250);
    try {
      const answer = await fetchJson<SearchAnswer>(this.#path(cursor), running.signal);
      take(answer);
      this.partial = answer.partial;
      this.error = undefined;
      this.answered = true;
    } catch (error) {
      const isSilence = error instanceof ApiError && error.status === 0;
      if (!isCancelled(error) && !(isQuiet && isSilence)) this.error = asApiError(error);
    } finally {
      clearInterval(timer);
      if (this.#running === running) this.#settle();
    }
  }

  #settle(): void {
    this.#running = undefined;
    this.busy = false;
    this.waited = 0;
  }

  #path(cursor: string | undefined): string {
    const params = new URLSearchParams({ q: this.#query, limit: String(PAGE) });
    if (this.#bounds !== undefined) {
      params.set('start', this.#bounds.start.toFixed(3));
      params.set('end', this.#bounds.end.toFixed(3));
    }
    if (cursor !== undefined) params.set('cursor', cursor);
    return `/api/v1/search?${params}`;
  }
}
