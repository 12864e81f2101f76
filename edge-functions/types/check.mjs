// Checks the functions against the type packages: `npm ci && npm run check` in this folder. What is checked is what
// `rootspan edge build` made, as its source maps have it: with the settings and without the sections that they switch off;
// the deployed code has the same syntax under shorter names. A wrong shape of an event, a header or an answer fails, and so
// does this check itself if it no longer notices one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { build, settingsFiles } from '../support/stage.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const modules = path.join(here, 'node_modules');
const folder = fs.mkdtempSync(path.join(here, 'checked-'));

/** The compiler's complaints about files; empty if there are none. */
function complaints(files, options) {
    const flags = ['--noEmit', '--allowJs', '--checkJs', '--strict', '--skipLibCheck', '--target', 'es2022', ...options];
    const run = spawnSync(process.execPath, [path.join(modules, 'typescript/bin/tsc'), ...flags, ...files], { cwd: folder, encoding: 'utf8' });
    assert.equal(run.error, undefined);
    return run.stdout;
}

const cloudfront = ['--module', 'es2020', '--moduleResolution', 'bundler', '--types', 'node', 'aws.d.ts'];
// The rules are typed; the adapter takes events as they come, which nobody promised anything about.
const lambda = ['--module', 'nodenext', '--moduleResolution', 'nodenext', '--types', 'node,aws-lambda', '--noImplicitAny', 'false'];

try {
    const checked = settingsFiles.flatMap((settings) => {
        const built = build(settings);
        const maps = fs.readdirSync(built).filter((name) => name.endsWith('.map'));
        const files = maps.map((map) => {
            const file = `${path.basename(settings, '.yaml')}-${map.replace('.map', '')}`;
            fs.writeFileSync(path.join(folder, file), JSON.parse(fs.readFileSync(path.join(built, map), 'utf8')).sourcesContent[0]);
            return file;
        });
        return files;
    });
    const those = (pattern) => checked.filter((file) => pattern.test(file));
    // The package does not know the helper yet.
    const declared = fs.readFileSync(path.join(modules, '@types/aws-cloudfront-function/index.d.ts'), 'utf8');
    const known = 'edgeLocation: EdgeLocation;';
    assert.ok(declared.includes(known) && !declared.includes('logCustomData'), 'the package has changed: look whether it knows logCustomData');
    fs.writeFileSync(path.join(folder, 'aws.d.ts'), declared.replace(known, `${known} logCustomData: (text: string) => void;`));

    // Scripts see each other's names: one at a time. Modules do not.
    const scripts = those(/(-response|\.module)\.js$/).map((file) => [[file], cloudfront]);
    const runs = [[those(/viewer-request\.js$/), cloudfront], ...scripts, [those(/\.mjs$/), lambda]];
    assert.equal(runs.flatMap(([files]) => files).length, checked.length, checked.join());
    for (const [files, options] of runs) {
        assert.equal(complaints(files, options), '', files.join());
    }
    const wrong = [
        ['everything-viewer-request.js', cloudfront, 'return event ? event.request', 'return event ? event.response'],
        ['everything-viewer-request.js', cloudfront, 'cf.logCustomData(text)', 'cf.logCustomData(5)'],
        ['everything-viewer-response.js', cloudfront, 'return event ? event.response', 'return event ? event.request.headers'],
        ['everything-origin-response.mjs', lambda, 'Records[0].cf.response', 'Records[0].cf.request']
    ];
    for (const [name, options, right, mistake] of wrong) {
        const code = fs.readFileSync(path.join(folder, name), 'utf8');
        assert.ok(code.includes(right), right);
        fs.writeFileSync(path.join(folder, `wrong-${name}`), code.replaceAll(right, mistake));
        assert.match(complaints([`wrong-${name}`], options), /error TS/, mistake);
    }
    console.log(`types: ${checked.length} functions fit their runtimes`);
} finally {
    fs.rmSync(folder, { recursive: true });
}
