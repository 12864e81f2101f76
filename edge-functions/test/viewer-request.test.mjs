// The viewer-request function under Node.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { source, stage, testdata } from '../support/stage.mjs';

// CloudFront has `require` beside `import`; Node's modules do not.
globalThis.require = createRequire(import.meta.url);

const DEFAULTS = { rules: [{ pattern: '*', threshold: '0', trust: 'restart', baggage: 'strip' }], secret: null };

const folder = stage();
after(() => fs.rmSync(folder, { recursive: true }));

const load = async (name) => (await import(pathToFileURL(path.join(folder, name)))).default;
const loaded = await load('viewer-request.js');
const vectors = await load('vectors.js');
const fuzz = await load('fuzz.js');
const options = await load('options.js');
const response = await load('viewer-response.js');

for (const name of vectors.files) {
    test(`vectors of ${name}`, () => {
        const file = JSON.parse(fs.readFileSync(path.join(testdata, name), 'utf8'));
        assert.deepEqual(vectors.check(loaded, name, file), []);
    });
}

test('what settings switch on', () => {
    const xray = JSON.parse(fs.readFileSync(path.join(testdata, 'xray.json'), 'utf8'));
    assert.deepEqual(options.check(loaded, response, xray), []);
});

test('no event makes it throw', () => {
    assert.deepEqual(fuzz.check(loaded, 20000, 1), []);
});

test('a runtime without logCustomData still gets the headers', async () => {
    const cloudfront = await load('cloudfront.js');
    const { logCustomData } = cloudfront;
    try {
        for (const broken of [undefined, () => { throw new Error('no such helper'); }]) {
            cloudfront.logCustomData = broken;
            const { value, logged } = vectors.run(loaded, DEFAULTS, vectors.event('a', {}));
            assert.match(value('traceparent'), /^00-ca978112ca1bbdcafac231b39a23dc4d-a786eff8147c4e72-03$/);
            assert.deepEqual(logged, []);
        }
    } finally {
        cloudfront.logCustomData = logCustomData;
    }
});

test('a request that cannot be changed stays whole', () => {
    const event = vectors.event('a', Object.freeze({ traceparent: { value: 'x' }, baggage: { value: 'y' } }));
    const { returned, logged } = vectors.run(loaded, DEFAULTS, event);
    assert.deepEqual(returned.headers, { traceparent: { value: 'x' }, baggage: { value: 'y' } });
    assert.deepEqual(logged, []);
});

test('the code asks for nothing that CloudFront does not have', () => {
    const code = fs.readFileSync(source, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '').replace(/^ +|\n(?=\s*\n)/gm, '');
    const missing = /\b(let|const|class|async|await|setTimeout|fetch|process|eval|Function|Math\.random)\b|=>|\.\.\.|`/;
    assert.doesNotMatch(code, missing);
    assert.ok(code.length < 10000, `${code.length} bytes`);
});
