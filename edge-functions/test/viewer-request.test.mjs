// The viewer-request and viewer-response functions under Node: the sources, and what `rootspan edge build` makes of them.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { CONSOLE, decisions, EMPTY, EVERYTHING, stage, stageAsItIs, stageBuilt, testdata } from '../support/stage.mjs';

// CloudFront has `require` beside `import`; Node's modules do not.
globalThis.require = createRequire(import.meta.url);

const DEFAULTS = { rules: [{ pattern: '*', threshold: '0', trust: 'restart', baggage: 'strip' }], secret: null };

/** Loads from the folder. */
function loader(folder) {
    return async (name) => (await import(pathToFileURL(path.join(folder, name)))).default;
}

for (const [title, folder] of [['sources', stage()], ['minified', stageBuilt()], ['readable', stageBuilt('--readable')]]) {
    const load = loader(folder);
    const loaded = await load('viewer-request.js');
    const response = await load('viewer-response.js');
    const [vectors, fuzz, options, cloudfront] = [
        await load('vectors.js'), await load('fuzz.js'), await load('options.js'), await load('cloudfront.js')
    ];
    describe(title, () => suite(loaded, response, { vectors, fuzz, options, cloudfront }));
}

function suite(loaded, response, { vectors, fuzz, options, cloudfront }) {
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

    test('no event makes viewer-response throw', () => {
        assert.deepEqual(fuzz.checkResponse(response, 20000, 4), []);
    });

    test('a runtime without logCustomData still gets the headers', () => {
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
}

describe('built, with the settings that it was built with', () => {
    for (const { settings, vectors: own } of decisions()) {
        test(JSON.stringify(own[0].settings), async () => {
            const load = loader(stageAsItIs(settings));
            const [loaded, vectors, fuzz] = [await load('viewer-request.js'), await load('vectors.js'), await load('fuzz.js')];
            assert.deepEqual(vectors.check(loaded, 'viewer-request.json', { vectors: own }), []);
            assert.deepEqual(fuzz.check(loaded, 3000, 5), []);
        });
    }
});

test('built to print, it prints and needs no module', async () => {
    const load = loader(stageAsItIs(CONSOLE));
    assert.deepEqual((await load('options.js')).checkConsole(await load('viewer-request.js')), []);
});

for (const settings of [EMPTY, EVERYTHING]) {
    test(`a function of one's own with the module, ${path.basename(settings)}`, async () => {
        const load = loader(stageAsItIs(settings));
        const [composed, vectors, fuzz] = [await load('composed.js'), await load('vectors.js'), await load('fuzz.js')];
        assert.deepEqual(vectors.checkComposed(composed), []);
        assert.deepEqual(fuzz.check(await load('viewer-request.js'), 5000, 6), []);
    });
}
