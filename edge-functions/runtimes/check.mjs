// Runs the tests of the Lambda@Edge functions with the versions of Node.js that Lambda@Edge has: `npm ci && npm run check`.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));

if (process.platform === 'linux' && process.arch === 'x64') {
    for (const major of [22, 24]) {
        const node = path.join(here, `node_modules/node-${major}/bin/node`);
        const version = spawnSync(node, ['--version'], { encoding: 'utf8' });
        assert.ok(version.stdout?.startsWith(`v${major}.`), `${node} is no Node.js ${major}: ${version.error ?? version.stdout}`);
        const run = spawnSync(node, ['--test', 'test/lambda-edge.test.mjs'], { cwd: path.join(here, '..'), stdio: 'inherit' });
        assert.equal(run.status, 0, `the Lambda@Edge functions fail with Node.js ${version.stdout}`);
    }
} else {
    console.log('skipped: the packages of Node.js 22 and 24 are for Linux on x86-64');
}
