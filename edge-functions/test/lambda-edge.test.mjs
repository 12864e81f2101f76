// The Lambda@Edge functions under Node, which is what runs them.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { cloudfrontTestdata, stage, stageBuilt } from '../support/stage.mjs';

globalThis.require = createRequire(import.meta.url);

const [miss, bucket, , failure] = JSON.parse(fs.readFileSync(path.join(cloudfrontTestdata, 'lambda-edge-events.json'), 'utf8'));
const settings = (trust, threshold, more = {}) => ({
    rules: [{ pattern: '*', threshold, trust, baggage: 'strip' }], secret: null, ...more
});
const DEFAULTS = settings('restart', '0');
const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** Runs with `console.log` kept; returns what the handler returned and what was logged. */
async function logged(run) {
    const original = console.log;
    const lines = [];
    console.log = (line) => lines.push(line);
    try {
        return { returned: await run(), lines };
    } finally {
        console.log = original;
    }
}

/** The sources, and the very files that are deployed. */
for (const [title, folder] of [['sources', stage()], ['minified', stageBuilt()], ['readable', stageBuilt('--readable')]]) {
    const load = (name) => import(pathToFileURL(path.join(folder, name)));
    const direct = await load('lambda-edge.mjs');
    const vectors = (await load('vectors.js')).default;
    describe(title, () => suite(direct.default, direct, vectors));
}

function suite(lambda, direct, vectors) {
    /** One request through origin-request and origin-response. */
    async function exchange(event, baked, config, status = '200') {
        lambda.configure(baked, config);
        const input = structuredClone(event);
        await lambda.originRequest(input);
        input.Records[0].cf.response ??= { status, statusDescription: '', headers: {} };
        const { returned, lines } = await logged(() => lambda.originResponse(input));
        assert.equal(returned, input.Records[0].cf.response);
        return { request: input.Records[0].cf.request, lines };
    }

    const spanOf = (line) => JSON.parse(line).resourceSpans[0].scopeSpans[0].spans[0];
    const attribute = (span, key) => Object.values(span.attributes.find((pair) => pair.key === key)?.value ?? { none: null })[0];

    test('beside a viewer-request function there is an exact CLIENT span', async () => {
        const { request, lines } = await exchange(miss, DEFAULTS, { service: 'shop' });
        const id = miss.Records[0].cf.config.requestId;
        const span = spanOf(lines[0]);
        assert.equal(lines.length, 1);
        assert.equal(span.spanId, sha256(`${id}:origin.shop.example.com`).slice(0, 16));
        assert.deepEqual([span.traceId, span.parentSpanId, span.kind], ['09d64ae8d7628a6968e3f996796f3f63', '2184743dd888b4f1', 3]);
        assert.equal(request.headers.traceparent[0].value, `00-${span.traceId}-${span.spanId}-03`);
        assert.equal(request.headers.traceparent[0].key, 'Traceparent');
        assert.equal(request.headers.tracestate[0].value, 'ot=th:0');
        assert.match(span.startTimeUnixNano, /^\d{13}000000$/);
        assert.ok(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano));
        assert.equal(attribute(span, 'url.full'), 'https://origin.shop.example.com/api/items');
        assert.equal(attribute(span, 'http.response.status_code'), '200');
        assert.equal(attribute(span, 'server.address'), 'origin.shop.example.com');
        assert.equal(span.status, undefined);
        assert.doesNotMatch(lines[0], /198\.51\.100|limit=5/, 'neither the viewer nor the query');
    });

    test('a failure of the origin is a span with an error', async () => {
        const { lines } = await exchange(failure, DEFAULTS, { service: 'cloudfront' });
        const span = spanOf(lines[0]);
        assert.deepEqual([span.status.code, attribute(span, 'error.type'), span.kind], [2, '503', 3]);
    });

    test('alone it opens the trace', async () => {
        const { request, lines } = await exchange(bucket, DEFAULTS, { service: 'cloudfront' });
        const span = spanOf(lines[0]);
        const hash = sha256(bucket.Records[0].cf.config.requestId);
        assert.deepEqual([span.traceId, span.spanId, span.parentSpanId, span.kind], [hash.slice(0, 32), hash.slice(32, 48), '', 2]);
        assert.equal(request.headers.traceparent[0].value, `00-${span.traceId}-${span.spanId}-03`);
        assert.equal(attribute(span, 'url.path'), '/static/app.js');
        assert.equal(attribute(span, 'server.address'), null, 'the origin is not what the viewer asked');
    });

    test('sessions in the path are not kept', async () => {
        const event = structuredClone(bucket);
        event.Records[0].cf.request.uri = '/a;jsessionid=53CR37/b;v=1;w/c%3Bk=53CR37';
        const { lines } = await exchange(event, DEFAULTS, { service: 'cloudfront' });
        assert.equal(attribute(spanOf(lines[0]), 'url.path'), '/a;REDACTED/b;REDACTED/c;REDACTED');
    });

    test('a context of the viewer is linked or continued', async () => {
        const event = structuredClone(bucket);
        event.Records[0].cf.request.headers.traceparent = [{ key: 'traceparent', value: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' }];
        const restarted = spanOf((await exchange(event, DEFAULTS, { service: 'c' })).lines[0]);
        assert.deepEqual(restarted.links, [{ traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' }]);
        const continued = spanOf((await exchange(event, settings('continue', '0'), { service: 'c' })).lines[0]);
        assert.deepEqual([continued.traceId, continued.parentSpanId, continued.flags],
            ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7', 769]);
    });

    test('an origin group has a span for each origin', async () => {
        const second = structuredClone(miss);
        second.Records[0].cf.request.origin.custom.domainName = 'second.example.com';
        const ids = [];
        for (const event of [miss, second]) {
            ids.push(spanOf((await exchange(event, DEFAULTS, { service: 'c' })).lines[0]).spanId);
        }
        assert.notEqual(ids[0], ids[1]);
        // The same where CloudFront asks the second origin with the headers that went to the first.
        const again = structuredClone(miss);
        await lambda.originRequest(again);
        again.Records[0].cf.request.origin.custom.domainName = 'second.example.com';
        const span = spanOf((await exchange(again, DEFAULTS, { service: 'c' })).lines[0]);
        assert.deepEqual([span.spanId, span.parentSpanId, span.kind], [ids[1], '2184743dd888b4f1', 3]);
    });

    test('viewer-request logs the payload with the request it belongs to', async () => {
        lambda.configure(DEFAULTS, { service: 'c' });
        const event = structuredClone(bucket);
        const { returned, lines } = await logged(() => lambda.viewerRequest(event));
        const id = bucket.Records[0].cf.config.requestId;
        const hash = sha256(id);
        assert.equal(returned, event.Records[0].cf.request);
        assert.match(lines[0], new RegExp(`^${id} rs1;00-${hash.slice(0, 32)}-${hash.slice(32, 48)}-03;-;\\d{13};0;-;-$`));
        await lambda.originRequest(event);
        assert.equal(event.Records[0].cf.request.headers.traceparent[0].value.slice(36, 52), sha256(`${id}:assets-example.s3.eu-west-1.amazonaws.com`).slice(0, 16));
    });

    test('other propagators follow the CLIENT span', async () => {
        const { request, lines } = await exchange(miss, settings('restart', '0', { propagators: ['b3', 'xray'] }), { service: 'c' });
        const span = spanOf(lines[0]);
        assert.equal(request.headers.b3[0].value, `${span.traceId}-${span.spanId}-1`);
        assert.match(request.headers['x-amzn-trace-id'][0].value, new RegExp(`Parent=${span.spanId};Sampled=1$`));
        assert.equal(request.headers['x-amzn-trace-id'][0].key, 'X-Amzn-Trace-Id');
    });

    test('what is not sampled, or forged, has no span', async () => {
        const unsampled = await exchange(bucket, settings('restart', ''), { service: 'c' });
        assert.deepEqual(unsampled.lines, []);
        assert.equal(unsampled.request.headers.traceparent[0].value.slice(53), '00');
        const forged = structuredClone(bucket);
        forged.Records[0].cf.request.headers['x-rootspan-origin'] = [{ key: 'x', value: 'rs1;00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01;-;1;-;-;-' }];
        forged.Records[0].cf.response = { status: '200', headers: {} };
        assert.equal(direct.originResponse(forged), null);
    });

    /** A receiver on a port of its own. */
    async function receiver(answer) {
        const seen = { bodies: [], headers: [], connections: 0 };
        const server = http.createServer((request, response) => {
            let body = '';
            request.on('data', (chunk) => { body += chunk; });
            request.on('end', () => {
                seen.bodies.push(body);
                seen.headers.push(request.headers);
                answer(response);
            });
        });
        server.on('connection', () => { seen.connections += 1; });
        await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
        const close = () => { server.closeAllConnections(); server.close(); };
        return { url: `http://127.0.0.1:${server.address().port}/v1/traces`, seen, close };
    }

    test('export mode sends spans over one connection', async () => {
        const { url, seen, close } = await receiver((response) => response.end('{}'));
        try {
            const config = { service: 'c', export: { url, token: 'write-only', budgetMillis: 5000 } };
            for (let round = 0; round < 3; round++) {
                assert.deepEqual((await exchange(miss, DEFAULTS, config)).lines, []);
            }
            assert.deepEqual([seen.bodies.length, seen.connections], [3, 1]);
            assert.equal(seen.headers[0].authorization, 'Bearer write-only');
            assert.equal(spanOf(seen.bodies[2]).kind, 3);
        } finally {
            close();
        }
    });

    test('a connection that the receiver ends while it rests costs no span', async () => {
    const { url, seen, close } = await receiver((response) => response.end('{}'));
    const ending = http.createServer((request, response) => {
        // As a server does that is replaced: the next request finds the connection ended.
        request.resume().on('end', () => response.end('{}', () => request.socket.once('data', () => request.socket.destroy())));
    });
    await new Promise((resolve) => ending.listen(0, '127.0.0.1', resolve));
    try {
        const config = { service: 'c', export: { url: `http://127.0.0.1:${ending.address().port}/`, token: 't', budgetMillis: 5000 } };
        for (let round = 0; round < 4; round++) {
            assert.deepEqual((await exchange(miss, DEFAULTS, config)).lines, []);
        }
        const other = { service: 'c', export: { url, token: 't', budgetMillis: 5000 } };
        assert.deepEqual((await exchange(miss, DEFAULTS, other)).lines, []);
        assert.equal(seen.bodies.length, 1);
    } finally {
        close();
        ending.closeAllConnections();
        ending.close();
    }
});

test('a receiver that refuses, is silent or is not there leaves a log line', async () => {
        const refusing = await receiver((response) => { response.statusCode = 503; response.end(); });
        const silent = await receiver(() => {});
        try {
            for (const url of [refusing.url, silent.url, 'http://127.0.0.1:1/', 'nonsense', 'ftp://x/']) {
                const config = { service: 'c', export: { url, token: '', budgetMillis: 50 } };
                const begin = performance.now();
                const { lines } = await exchange(miss, DEFAULTS, config);
                const took = performance.now() - begin;
                assert.equal(spanOf(lines[0]).kind, 3, url);
                assert.ok(took < 1000, `${url}: ${took} ms`);
            }
        } finally {
            refusing.close();
            silent.close();
        }
    });

    /** A generator as in support/fuzz.js. */
    function generator(seed) {
        let state = seed;
        return (below) => {
            state = (state * 1664525 + 1013904223) % 4294967296;
            return Math.floor(state / 4294967296 * below);
        };
    }

    test('no event makes a handler reject, and what is not understood stays as it was', async () => {
        const random = generator(3);
        const junk = [null, undefined, 7, '', 'x', [], {}, [null], [{ value: 5 }], [{ value: '00-' }], () => 1];
        lambda.configure(settings('continue', '0', { propagators: ['b3', 'b3multi', 'xray'] }), { service: 'c' });
        let traced = 0;
        for (let round = 0; round < 5000; round++) {
            const event = structuredClone([miss, bucket, failure][random(3)]);
            let node = event;
            for (let depth = 0; depth < 9 && typeof node === 'object' && node !== null; depth++) {
                const keys = Object.keys(node);
                const key = keys[random(keys.length)];
                if (key === undefined || random(6) === 0) {
                    node[key ?? 'a'] = junk[random(junk.length)];
                    break;
                }
                node = node[key];
            }
            const before = vectors.canonical(event);
            const { returned, lines } = await logged(async () => {
                const request = await lambda.originRequest(event);
                await lambda.originResponse(event);
                return request;
            });
            assert.equal(returned, event?.Records?.[0]?.cf?.request);
            const sent = event?.Records?.[0]?.cf?.request?.headers?.['x-rootspan-origin'];
            traced += lines.length;
            if (sent === undefined) {
                assert.equal(vectors.canonical(event), before);
                assert.deepEqual(lines, []);
            }
        }
        assert.ok(traced > 500, String(traced));
    });
}
