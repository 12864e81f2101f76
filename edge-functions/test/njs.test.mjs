// Runs support/njs-main.js under Debian's njs. `node test/njs.test.mjs` alone exits non-zero on failure, too.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { stage, testdata } from '../support/stage.mjs';

test('vectors and fuzzed events under njs', () => {
    const folder = stage();
    try {
        const main = path.join(folder, 'njs-main.js');
        fs.copyFileSync(fileURLToPath(new URL('../support/njs-main.js', import.meta.url)), main);
        const run = spawnSync('njs', ['-p', folder, main], { encoding: 'utf8', env: { ...process.env, TESTDATA: testdata } });
        assert.equal(run.error, undefined, `njs cannot be started (Debian: apt-get install njs): ${run.error}`);
        assert.match(run.stdout, /njs: all vectors and fuzzed events passed/, run.stdout + run.stderr);
    } finally {
        fs.rmSync(folder, { recursive: true });
    }
});
