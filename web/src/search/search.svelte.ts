// A search and its answers: first page, further pages by cursor, quiet refresh, cancel.

import { fetchJson, type SearchAnswer, type TraceSummary } from '../lib/api';
import { Asking } from '../lib/asking.svelte';
import { rangeSeconds, type TimeRange } from '../lib/range';

const PAGE = 50;

export class Search extends Asking {
  traces = $state.raw<TraceSummary[]>([]);
  partial = $state<string | null>(null);
  next = $state<string | null>(null);
  #query = '';
  #bounds: { start: number; end: number } | undefined;

  /** Starts over with another question. */
  async run(query: string, range: TimeRange): Promise<void> {
    this.#query = query;
    this.#bounds = rangeSeconds(range, Date.now());
    await this.#page(undefined, (answer) => {
      this.traces = answer.traces;
      this.next = answer.nextCursor;
    });
  }

  /** Adds the next page. */
  async more(): Promise<void> {
    if (this.next === null || this.busy) return;
    await this.#page(this.next, (answer) => {
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
    if (this.isRunning) return;
    const bounds = rangeSeconds(range, Date.now());
    this.#bounds = bounds;
    await this.#page(undefined, (answer) => {
      const fresh = new Set(answer.traces.map((trace) => trace.traceId));
      const older = this.traces.slice(PAGE).filter((trace) => !fresh.has(trace.traceId));
      this.traces = [...answer.traces, ...older];
      if (older.length === 0) this.next = answer.nextCursor;
    }, true);
  }

  async #page(cursor: string | undefined, take: (answer: SearchAnswer) => void, isQuiet = false): Promise<void> {
    await this.ask(async (signal) => {
      const answer = await fetchJson<SearchAnswer>(this.#path(cursor), signal);
      take(answer);
      this.partial = answer.partial;
    }, isQuiet);
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
