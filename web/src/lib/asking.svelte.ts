// A question to the server and how it goes: busy, cancelled, failed, answered. One at a time; the newest wins.

import { ApiError, asApiError, isCancelled } from './api';

export class Asking {
  error = $state.raw<ApiError>();
  /** An answer has come, be it empty. */
  answered = $state(false);
  busy = $state(false);
  /** Milliseconds the running request has taken. */
  waited = $state(0);
  cancelled = $state(false);
  #running: AbortController | undefined;

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Asks; a quiet question changes nothing on show until its answer is there, and silence is said by the status line. */
  async ask(question: (signal: AbortSignal) => Promise<void>, isQuiet = false): Promise<void> {
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    this.busy = !isQuiet;
    if (!isQuiet) this.cancelled = false;
    const since = Date.now();
    this.waited = 0;
    const timer = setInterval(() => (this.waited = Date.now() - since), 250);
    try {
      await question(running.signal);
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

  #settle(): void {
    this.#running = undefined;
    this.busy = false;
    this.waited = 0;
  }
}
