// Checks of what settings switch on: other propagators, forced sampling, where ids are logged, the module, and the
// viewer-response function. Works in every engine. Each check returns the list of what failed.
import vectors from 'vectors.js';

var crypto = require('crypto');

var REQUEST_ID = 'Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg==';
var TRACE = '09d64ae8d7628a6968e3f996796f3f63';
var SPAN = '2184743dd888b4f1';
var KEY = 'a key of thirty-two characters!!';

function settings(trust, threshold, more) {
    var made = { rules: [{ pattern: '*', threshold: threshold, trust: trust, baggage: 'strip' }], secret: null };
    Object.keys(more).forEach(function (name) { made[name] = more[name]; });
    return made;
}

function run(loaded, made, headers) {
    return vectors.run(loaded, made, vectors.event(REQUEST_ID, headers));
}

function same(fail, name, got, want) {
    if (JSON.stringify(got) !== JSON.stringify(want)) {
        fail(name + ': got ' + JSON.stringify(got) + ', want ' + JSON.stringify(want));
    }
}

// Stale headers of other tracers are rewritten or removed, never left.
function propagators(loaded, fail) {
    var stale = function () {
        return {
            b3: { value: 'd' },
            'x-b3-traceid': { value: 'a' },
            'x-b3-parentspanid': { value: 'b' },
            'x-b3-flags': { value: '1' },
            'x-amzn-trace-id': { value: 'Self=1-2;Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=a:0' }
        };
    };
    var names = ['b3', 'x-b3-traceid', 'x-b3-spanid', 'x-b3-sampled', 'x-b3-parentspanid', 'x-b3-flags', 'x-amzn-trace-id'];
    var sent = function (made, headers) { return names.map(run(loaded, made, headers).value); };
    var xray = 'Root=1-09d64ae8-d7628a6968e3f996796f3f63;Parent=' + SPAN + ';Sampled=';
    same(fail, 'none', sent(settings('restart', '0', {}), stale()), [null, null, null, null, null, null, null]);
    same(fail, 'all', sent(settings('restart', '0', { propagators: ['b3', 'b3multi', 'xray'] }), stale()),
        [TRACE + '-' + SPAN + '-1', TRACE, SPAN, '1', null, null, xray + '1']);
    same(fail, 'unsampled', sent(settings('restart', '', { propagators: ['b3', 'b3multi', 'xray'] }), {}),
        [TRACE + '-' + SPAN + '-0', TRACE, SPAN, '0', null, null, xray + '0']);
    var continued = stale();
    continued.traceparent = { value: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
    same(fail, 'continued', sent(settings('continue', '0', { propagators: ['xray'] }), continued)[6],
        'Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=' + SPAN + ';Sampled=1;Lineage=a:0');
}

// The vectors of crates/model for what is sent on.
function xrayVectors(loaded, file, fail) {
    file.vectors.forEach(function (vector) {
        if (!vector.sentOn || !vector.expected) {
            return;
        }
        var headers = {
            traceparent: { value: '00-' + vector.expected.traceId + '-00f067aa0ba902b7-01' },
            'x-amzn-trace-id': { value: vector.header }
        };
        var sent = run(loaded, settings('continue', '0', { propagators: ['xray'] }), headers).value('x-amzn-trace-id');
        same(fail, vector.name, sent, vector.sentOn.replace('abababababababab', SPAN));
    });
}

function forced(loaded, fail) {
    var made = function (trust) { return settings(trust, '', { force: { header: 'x-force', key: KEY } }); };
    var sign = function (expires, key) { return expires + '.' + crypto.createHmac('sha256', key).update(expires).digest('hex'); };
    var soon = String(Math.floor(Date.now() / 1000) + 60);
    var past = String(Math.floor(Date.now() / 1000) - 60);
    var flags = function (value, trust) {
        var headers = { 'x-force': { value: value } };
        if (trust === 'continue') {
            headers.traceparent = { value: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02' };
        }
        var outcome = run(loaded, made(trust), headers);
        same(fail, 'the header goes no further', outcome.value('x-force'), null);
        return outcome.value('traceparent').slice(53) + ' ' + outcome.value('tracestate');
    };
    same(fail, 'signed', flags(sign(soon, KEY), 'restart'), '03 ot=th:0');
    same(fail, 'signed, continued', flags(sign(soon, KEY), 'continue'), '03 null');
    ['', soon, sign(soon, 'another key'), sign(past, KEY), sign(soon, KEY) + '0', sign(soon, KEY).toUpperCase(), soon + '.' + TRACE]
        .forEach(function (value) {
            same(fail, 'not ' + value, flags(value, 'restart'), '00 null');
            same(fail, 'not continued ' + value, flags(value, 'continue'), '02 null');
        });
}

// The payload where the settings want it; the module logs nothing and returns it.
function logging(loaded, fail) {
    var printed = [];
    var original = console.log;
    var outcome;
    ['custom-data', 'console', 'both'].forEach(function (via) {
        try {
            printed = [];
            console.log = function (line) { printed.push(line); };
            outcome = run(loaded, settings('restart', '0', { via: via }), {});
        } finally {
            console.log = original;
        }
        same(fail, via, [outcome.logged.length, printed.length], [via === 'console' ? 0 : 1, via === 'custom-data' ? 0 : 1]);
        same(fail, via + ' text', (outcome.logged[0] || printed[0]).slice(0, 59), 'rs1;00-' + TRACE + '-' + SPAN.slice(0, 16) + '-03');
    });
}

function asModule(loaded, fail) {
    loaded.configure(settings('restart', '0', {}));
    loaded.calls.length = 0;
    var input = vectors.event(REQUEST_ID, {});
    var text = loaded.rootspan(input);
    same(fail, 'returned', text.slice(0, 59), 'rs1;00-' + TRACE + '-' + SPAN + '-03');
    same(fail, 'logged', loaded.calls.length, 0);
    same(fail, 'sent', input.request.headers.traceparent.value, text.split(';')[1]);
    [undefined, null, {}, 7].forEach(function (nonsense) {
        same(fail, 'nonsense', loaded.rootspan(nonsense), '');
    });
}

function responses(loaded, fail) {
    var traceparent = '00-' + TRACE + '-' + SPAN + '-03';
    var metric = 'traceparent;desc="' + traceparent + '"';
    var answer = function (respond, request, headers) {
        loaded.configure({ respond: respond });
        var input = { request: { headers: request }, response: { statusCode: 200, headers: headers } };
        var returned = loaded.handler(input);
        if (returned !== input.response) {
            fail('returned something else');
        }
        return returned.headers;
    };
    var timing = { serverTiming: true, header: '' };
    var sent = { traceparent: { value: traceparent } };
    same(fail, 'timing', answer(timing, sent, {}), { 'server-timing': { value: metric } });
    same(fail, 'beside', answer(timing, sent, { 'server-timing': { value: 'db;dur=5' } }),
        { 'server-timing': { value: 'db;dur=5, ' + metric } });
    same(fail, 'several', answer(timing, sent, { 'server-timing': { value: 'a', multiValue: [{ value: 'a' }, { value: 'b' }] } }),
        { 'server-timing': { value: 'a', multiValue: [{ value: 'a' }, { value: 'b' }] } });
    same(fail, 'header', answer({ serverTiming: false, header: 'x-trace-id' }, sent, {}), { 'x-trace-id': { value: TRACE } });
    [{}, { traceparent: { value: 'x' } }, { traceparent: 7 }, { traceparent: { value: traceparent, multiValue: [] } }]
        .forEach(function (request) {
            same(fail, 'not understood', answer(timing, request, { a: { value: 'b' } }), { a: { value: 'b' } });
        });
    [undefined, null, 7, {}, { request: null, response: 5 }, { request: sent, response: { headers: [] } }].forEach(function (input) {
        var before = JSON.stringify(input);
        loaded.handler(input);
        same(fail, 'nonsense', JSON.stringify(input), before);
    });
}

export default {
    // A function that was built to print its data and nothing else.
    checkConsole: function (loaded) {
        var failures = [];
        var printed = [];
        var original = console.log;
        try {
            console.log = function (line) { printed.push(line); };
            run(loaded, null, {});
        } finally {
            console.log = original;
        }
        if (printed.length !== 1 || printed[0].slice(0, 59) !== 'rs1;00-' + TRACE + '-' + SPAN + '-03') {
            failures.push('console: printed ' + printed.join());
        }
        return failures;
    },
    // `xray` is the file of that name; `response` the viewer-response function.
    check: function (loaded, response, xray) {
        var failures = [];
        var failing = function (part) { return function (what) { failures.push(part + ': ' + what); }; };
        propagators(loaded, failing('propagators'));
        xrayVectors(loaded, xray, failing('xray.json'));
        forced(loaded, failing('forced'));
        logging(loaded, failing('logging'));
        asModule(loaded, failing('module'));
        responses(response, failing('viewer-response'));
        return failures;
    }
};
