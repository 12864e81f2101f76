// The source maps, read by Node's own reader: every name of the deployed code, and positions of real stack traces, lead to
// the source with the settings.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire, SourceMap } from 'node:module';
import path from 'node:path';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { build, cloudfrontTestdata, settingsFiles, stageAsItIs } from '../support/stage.mjs';

globalThis.require = createRequire(import.meta.url);

/** The map beside a file: its content, and where a position (both from 0) leads. */
function mapOf(file) {
    const content = JSON.parse(fs.readFileSync(`${file}.map`, 'utf8'));
    const map = new SourceMap(content);
    const lines = content.sourcesContent[0].split('\n');
    const at = (line, column) => {
        const { name, originalLine, originalColumn } = map.findEntry(line, column);
        return { name, line: lines[originalLine], column: originalColumn };
    };
    return { content, at };
}

describe('every name leads to itself', () => {
    for (const settings of settingsFiles) {
        const folder = build(settings);
        const built = fs.readdirSync(folder).filter((name) => /js$/.test(name));
        assert.ok(built.length >= 6);
        for (const name of built) {
            test(`${path.basename(settings)}: ${name}`, () => {
                const file = path.join(folder, name);
                const { content, at } = mapOf(file);
                assert.deepEqual([content.version, content.file, content.sources], [3, name, [name.replace('.', '.source.')]]);
                let names = 0;
                fs.readFileSync(file, 'utf8').split('\n').forEach((line, number) => {
                    if (/^\/\//.test(line)) {
                        return;
                    }
                    // Without strings, patterns and numbers, but of the same length.
                    const code = line.replace(/'[^']*'|"(?:[^"\\]|\\.)*"|\/(?:\[[^\]]*\]|[^/\[])+\/[gi]*(?=[.,])|\b\d+/g, (text) => ' '.repeat(text.length));
                    for (const { 0: word, index } of code.matchAll(/[A-Za-z_$][\w$]*/g)) {
                        const source = at(number, index);
                        assert.equal(source.line.slice(source.column).match(/^[\w$]+/)?.[0], source.name ?? word, `${name}:${number + 1}:${index + 1}`);
                        names += 1;
                    }
                });
                assert.ok(names > 50, String(names));
            });
        }
        test(`${path.basename(settings)}: the settings are in the source, line by line`, () => {
            const { content } = mapOf(path.join(folder, 'viewer-request.js'));
            const baked = /^var SETTINGS = (\{\n[\s\S]*?\n\});$/m.exec(content.sourcesContent[0]);
            const code = fs.readFileSync(path.join(folder, 'viewer-request.js'), 'utf8');
            assert.ok(code.includes(`var SETTINGS=${JSON.stringify(JSON.parse(baked[1]))};`));
            assert.match(content.sourcesContent[0], /It opens the trace at the CDN/, 'with its comments');
        });
    }
});

const EXPECTED = [
    /var header = headers\[name\];/,
    /var all = values\(headers, name\);/,
    /parseTraceparent\(single\(headers, 'traceparent'\)\)/,
    /var decision = decide\(event\.request\.uri, headers, requestId\);/,
    /log\(rootspan\(event\)\);/
];

// An event whose traceparent remembers who reads it; both engines' stacks name file and line.
const SPY = `
    var stack = '';
    var headers = {};
    Object.defineProperty(headers, 'traceparent', { enumerable: true, get: function () {
        // njs knows the stack of what was thrown only.
        try { throw new Error('here'); } catch (error) { stack = stack || error.stack; }
        return { value: 'x' };
    } });
    loaded.handler({ context: { requestId: 'a' }, request: { uri: '/', headers: headers } });
`;

describe('a stack trace leads to the source', () => {
    for (const settings of settingsFiles) {
        const folder = stageAsItIs(settings);
        const { at } = mapOf(path.join(folder, 'viewer-request.js'));

        test(`Node, ${path.basename(settings)}`, async () => {
            const loaded = (await import(pathToFileURL(path.join(folder, 'viewer-request.js')))).default;
            const stack = new Function('loaded', `${SPY} return stack;`)(loaded);
            const frames = [...stack.matchAll(/viewer-request\.js:(\d+):(\d+)/g)].map(([, line, column]) => at(line - 1, column - 1));
            assert.equal(frames.length, EXPECTED.length, stack);
            EXPECTED.forEach((line, index) => assert.match(frames[index].line, line));
        });

        test(`njs, which knows lines only, ${path.basename(settings)}`, () => {
            const main = path.join(folder, 'spy.js');
            fs.writeFileSync(main, `import loaded from 'viewer-request.js';\n${SPY}\nconsole.log(stack);\n`);
            const run = spawnSync('njs', ['-p', folder, main], { encoding: 'utf8' });
            const frames = [...run.stdout.matchAll(/viewer-request\.js:(\d+)/g)].map(([, line]) => at(line - 1, 0));
            // A getter's own caller is not among them.
            const expected = EXPECTED.slice(1);
            assert.equal(frames.length, expected.length, run.stdout + run.stderr);
            expected.forEach((line, index) => assert.match(frames[index].line, line, run.stdout));
        });
    }

    test('Node finds the map of a Lambda@Edge function by itself', () => {
        const folder = build(settingsFiles[1]);
        const events = path.join(cloudfrontTestdata, 'lambda-edge-events.json');
        fs.writeFileSync(path.join(folder, 'spy.mjs'), `
            import fs from 'node:fs';
            import { handler } from './origin-request.mjs';
            const event = JSON.parse(fs.readFileSync(${JSON.stringify(events)}, 'utf8'))[0];
            let stack = '';
            const { origin } = event.Records[0].cf.request;
            Object.defineProperty(event.Records[0].cf.request, 'origin', { get() { stack ||= new Error('here').stack; return origin; } });
            await handler(event);
            console.log(stack);
        `);
        const run = spawnSync(process.execPath, ['--enable-source-maps', path.join(folder, 'spy.mjs')], { encoding: 'utf8' });
        const [, line] = /origin-request\.source\.mjs:(\d+):\d+/.exec(run.stdout) ?? assert.fail(run.stdout + run.stderr);
        const { content } = mapOf(path.join(folder, 'origin-request.mjs'));
        assert.match(content.sourcesContent[0].split('\n')[line - 1], /var origin = request\.origin && /);
    });
});
