// Checks the functions against the type packages: `npm install && npm run check` in this folder. A wrong shape of an event, a
// header or an answer fails, and so does this check itself if it no longer notices one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { stage } from '../support/stage.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const modules = path.join(here, 'node_modules');
const folder = fs.mkdtempSync(path.join(here, 'checked-'));

/** The compiler's complaints about one file; empty if there are none. */
function complaints(file, options) {
    const flags = ['--noEmit', '--allowJs', '--checkJs', '--strict', '--skipLibCheck', '--target', 'es2022', ...options];
    const run = spawnSync(process.execPath, [path.join(modules, 'typescript/bin/tsc'), ...flags, file], { cwd: folder, encoding: 'utf8' });
    assert.equal(run.error, undefined);
    return run.stdout;
}

const cloudfront = ['--module', 'es2020', '--moduleResolution', 'bundler', '--types', 'node', 'aws.d.ts'];
// The rules are typed; the adapter takes events as they come, which nobody promised anything about.
const lambda = ['--module', 'nodenext', '--moduleResolution', 'nodenext', '--types', 'node,aws-lambda', '--noImplicitAny', 'false'];

try {
    const staged = stage();
    for (const name of ['viewer-request.js', 'viewer-response.js', 'lambda-edge.mjs']) {
        // The line that hands over to the tests is not part of the function.
        const code = fs.readFileSync(path.join(staged, name), 'utf8');
        fs.writeFileSync(path.join(folder, name), code.slice(0, code.lastIndexOf('export default {')));
    }
    fs.rmSync(staged, { recursive: true });
    // The package does not know the helper yet.
    const declared = fs.readFileSync(path.join(modules, '@types/aws-cloudfront-function/index.d.ts'), 'utf8');
    const known = 'edgeLocation: EdgeLocation;';
    assert.ok(declared.includes(known) && !declared.includes('logCustomData'), 'the package has changed: look whether it knows logCustomData');
    fs.writeFileSync(path.join(folder, 'aws.d.ts'), declared.replace(known, `${known} logCustomData: (text: string) => void;`));

    const files = [['viewer-request.js', cloudfront], ['viewer-response.js', cloudfront], ['lambda-edge.mjs', lambda]];
    for (const [name, options] of files) {
        assert.equal(complaints(name, options), '', name);
    }
    const wrong = [
        ['viewer-request.js', cloudfront, 'return event ? event.request', 'return event ? event.response'],
        ['viewer-request.js', cloudfront, 'cf.logCustomData(text)', 'cf.logCustomData(5)'],
        ['viewer-response.js', cloudfront, 'return event ? event.response', 'return event ? event.request.headers'],
        ['lambda-edge.mjs', lambda, 'Records[0].cf.response', 'Records[0].cf.request']
    ];
    for (const [name, options, right, mistake] of wrong) {
        const code = fs.readFileSync(path.join(folder, name), 'utf8');
        assert.ok(code.includes(right), right);
        fs.writeFileSync(path.join(folder, `wrong-${name}`), code.replaceAll(right, mistake));
        assert.match(complaints(`wrong-${name}`, options), /error TS/, mistake);
    }
    console.log('types: all functions fit both runtimes');
} finally {
    fs.rmSync(folder, { recursive: true });
}
