// The coverage on show: asked for a range, asked again quietly.

import { fetchJson } from '../lib/api';
import { Asking } from '../lib/asking.svelte';
import type { CoverageAnswer } from '../lib/coverage';
import { rangeSeconds, type TimeRange } from '../lib/range';

export class Coverage extends Asking {
  answer = $state.raw<CoverageAnswer>();

  async run(range: TimeRange): Promise<void> {
    await this.#take(range, false);
  }

  /** Asks again without a sign of it. */
  async refresh(range: TimeRange): Promise<void> {
    if (!this.isRunning) await this.#take(range, true);
  }

  /** An answer without a record is on show. */
  get isEmpty(): boolean {
    return this.error === undefined && this.answer !== undefined && this.answer.distributions.length === 0;
  }

  async #take(range: TimeRange, isQuiet: boolean): Promise<void> {
    const params = new URLSearchParams();
    const bounds = rangeSeconds(range, Date.now());
    if (bounds !== undefined) {
      params.set('start', bounds.start.toFixed(3));
      params.set('end', bounds.end.toFixed(3));
    }
    await this.ask(async (signal) => {
      this.answer = await fetchJson<CoverageAnswer>(`/api/v1/edge/coverage?${params}`, signal);
    }, isQuiet);
  }
}
