// What tests against the real program need: free ports, programs that end with their test, waiting for an answer.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';

const BINARY = process.env.ROOTSPAN ?? 'rootspan';
/** Between two looks at something that happens in another program. */
const LOOK_MILLIS = 20;
/** A machine may be busy with other things; what takes longer is broken. */
const PATIENCE_MILLIS = 60_000;

/** A port that was free a moment ago. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Resolves once something listens at the port; rejects once the program has ended. */
export async function listening(port, program) {
  for (;;) {
    assert.equal(program.exitCode, null, 'the program ended');
    const socket = connect(port, '127.0.0.1');
    const isOpen = await new Promise((resolve) => {
      socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    await pause(LOOK_MILLIS);
  }
}

/** Starts the program; it does not outlive the test. */
export function rootspan(context, args, stdout = 'ignore') {
  const program = spawn(BINARY, args, { stdio: ['ignore', stdout, 'inherit'] });
  context.after(() => program.kill('SIGKILL'));
  return program;
}

/** The first line of a program's output that matches. */
export async function lineOf(program, pattern) {
  const lines = createInterface({ input: program.stdout });
  for await (const line of lines) {
    const found = pattern.exec(line);
    // Who closes its output would stop it.
    if (found !== null) {
      program.stdout.resume();
      return found;
    }
  }
  throw new Error(`the program ended without a line like ${pattern}`);
}

/** Looks until there is something. */
export async function eventually(what, look) {
  const until = Date.now() + PATIENCE_MILLIS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    assert.ok(Date.now() < until, `still not there: ${what}`);
    await pause(LOOK_MILLIS);
  }
}
