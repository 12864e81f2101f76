// Runs support/njs-main.js under Debian's njs. `node test/njs.test.mjs` alone exits non-zero on failure, too.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { CONSOLE, decisions, EMPTY, EVERYTHING, stage, stageAsItIs, stageBuilt, testdata } from '../support/stage.mjs';

/** Runs njs in the folder, in which `other` is the function beside viewer-request. */
function check(folder, other, environment) {
    const main = path.join(folder, 'njs-main.js');
    fs.copyFileSync(fileURLToPath(new URL('../support/njs-main.js', import.meta.url)), main);
    fs.copyFileSync(path.join(folder, other), path.join(folder, 'other.js'));
    const env = { ...process.env, TESTDATA: testdata, ...environment };
    const run = spawnSync('njs', ['-p', folder, main], { encoding: 'utf8', env });
    assert.equal(run.error, undefined, `njs cannot be started (Debian: apt-get install njs): ${run.error}`);
    assert.match(run.stdout, /njs: all vectors and fuzzed events passed/, run.stdout + run.stderr);
}

describe('vectors and fuzzed events under njs', () => {
    for (const [title, made] of [['sources', stage], ['minified', stageBuilt], ['readable', () => stageBuilt('--readable')]]) {
        test(title, () => check(made(), 'viewer-response.js', { CHECKS: 'all' }));
    }
    test('built to print', () => check(stageAsItIs(CONSOLE), 'composed.js', { CHECKS: 'console' }));
    const withoutVectors = [EMPTY, EVERYTHING].map((settings) => ({ settings, vectors: [] }));
    for (const { settings, vectors } of [...decisions(), ...withoutVectors]) {
        test(`built with ${vectors[0] ? JSON.stringify(vectors[0].settings) : path.basename(settings)}`, () => {
            const folder = stageAsItIs(settings);
            const own = path.join(folder, 'vectors.json');
            fs.writeFileSync(own, JSON.stringify(vectors));
            check(folder, 'composed.js', { CHECKS: 'own', VECTORS: own });
        });
    }
});
