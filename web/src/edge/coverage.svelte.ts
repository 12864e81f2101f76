// The coverage on show: asked for a range, asked again quietly.

import { fetchJson } from '../lib/api';
import { Asking } from '../lib/asking.svelte';
import { extentOf, type CoverageAnswer } from '../lib/coverage';
import { rangeSeconds, type TimeRange } from '../lib/range';

/** Questions until the steps of all that is stored are as short as they can be. */
const MOST_QUESTIONS = 4;

/** Seconds since 1970. */
function between(start: number, end: number, signal: AbortSignal): Promise<CoverageAnswer> {
  const params = new URLSearchParams({ start: start.toFixed(3), end: end.toFixed(3) });
  return fetchJson<CoverageAnswer>(`/api/v1/edge/coverage?${params}`, signal);
}

/** All that is stored: where it lies is known from an answer with long steps. */
async function everything(signal: AbortSignal): Promise<CoverageAnswer> {
  let answer = await between(0, Date.now() / 1000 + 60, signal);
  for (let asked = 1; asked < MOST_QUESTIONS; asked++) {
    const extent = extentOf(answer);
    if (extent === undefined) break;
    const narrower = await between(extent.start / 1000, extent.end / 1000, signal);
    const isShorter = narrower.stepNanos < answer.stepNanos;
    answer = narrower;
    if (!isShorter) break;
  }
  return answer;
}

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
    const bounds = rangeSeconds(range, Date.now());
    await this.ask(async (signal) => {
      this.answer = bounds === undefined ? await everything(signal) : await between(bounds.start, bounds.end, signal);
    }, isQuiet);
  }
}
