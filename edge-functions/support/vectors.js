// Runs the shared vectors of testdata/propagation/ against a loaded function. Works in every engine: no modules of
// Node, no syntax beyond ES5. Each check returns the list of what failed.

var CONTINUE = {
    rules: [{ pattern: '*', threshold: '0', trust: 'continue', baggage: 'strip' }],
    secret: null
};
var REQUEST_ID = 'Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg==';

function copy(value) {
    return JSON.parse(JSON.stringify(value));
}

// JSON with sorted keys, so that the order of headers does not matter.
function canonical(value) {
    if (Array.isArray(value)) {
        return '[' + value.map(canonical).join(',') + ']';
    }
    if (typeof value === 'object' && value !== null) {
        return '{' + Object.keys(value).sort().map(function (key) {
            return JSON.stringify(key) + ':' + canonical(value[key]);
        }).join(',') + '}';
    }
    return JSON.stringify(value);
}

function header(values) {
    var entry = { value: values[0] };
    if (values.length > 1) {
        entry.multiValue = values.map(function (value) { return { value: value }; });
    }
    return entry;
}

function event(requestId, headers) {
    return {
        version: '1.0',
        context: { distributionId: 'E', eventType: 'viewer-request', requestId: requestId },
        viewer: { ip: '192.0.2.9' },
        request: { method: 'GET', uri: '/', querystring: {}, headers: headers, cookies: {} }
    };
}

// Runs one event; the outcome has the request as it came back, the header values and the logged texts.
function run(loaded, settings, input) {
    loaded.configure(settings);
    loaded.calls.length = 0;
    var returned = loaded.handler(input);
    function value(name) {
        var entry = returned && returned.headers && returned.headers[name];
        return entry ? entry.value : null;
    }
    return { returned: returned, value: value, logged: loaded.calls.slice() };
}

function traceparents(loaded, file, fail) {
    file.vectors.forEach(function (vector) {
        var outcome = run(loaded, CONTINUE, event(REQUEST_ID, { traceparent: header(vector.headers) }));
        var sent = String(outcome.value('traceparent'));
        var fields = String(outcome.logged[0]).split(';');
        var want = vector.expected;
        var isContinued = fields[2] !== '-';
        if (isContinued !== (want !== null)) {
            fail(vector.name, 'continued: ' + isContinued);
        } else if (want) {
            var flags = parseInt(sent.slice(53), 16);
            var got = [sent.slice(3, 35), fields[2], (flags & 1) === 1, (flags & 2) === 2].join();
            if (got !== [want.traceId, want.spanId, want.sampled, want.random].join()) {
                fail(vector.name, got);
            }
        }
    });
}

function tracestates(loaded, file, fail) {
    var traceparent = { value: '00-000000000000000000ffffffffffffff-00f067aa0ba902b7-03' };
    file.vectors.forEach(function (vector) {
        var headers = { traceparent: traceparent, tracestate: header(vector.headers) };
        var sent = run(loaded, CONTINUE, event(REQUEST_ID, headers)).value('tracestate');
        if ((sent || '') !== (vector.expected || '')) {
            fail(vector.name, sent);
        }
    });
}

function restart(threshold) {
    return { rules: [{ pattern: '*', threshold: threshold, trust: 'restart', baggage: 'strip' }], secret: null };
}

function requestIds(loaded, file, fail) {
    file.vectors.forEach(function (vector) {
        var sent = run(loaded, restart('0'), event(vector.requestId, {})).value('traceparent');
        if (sent !== '00-' + vector.traceId + '-' + vector.spanId + '-03') {
            fail(vector.requestId, sent);
        }
    });
}

function sampling(loaded, file, fail) {
    file.requests.forEach(function (vector) {
        var outcome = run(loaded, restart(vector.threshold), event(vector.requestId, {}));
        var flags = outcome.value('traceparent').slice(53);
        var state = vector.sampled ? 'ot=th:' + vector.threshold : null;
        if (flags !== (vector.sampled ? '03' : '00') || outcome.value('tracestate') !== state) {
            fail(vector.requestId + ' ' + vector.threshold, flags);
        }
    });
    // A decision is visible when a trace is continued: a threshold that contradicts the sampled flag is dropped.
    file.decisions.forEach(function (vector) {
        var state = 'ot=th:' + vector.threshold + (vector.randomValue ? ';rv:' + vector.randomValue : '');
        var headers = {
            traceparent: { value: '00-' + vector.traceId + '-00f067aa0ba902b7-01' },
            tracestate: { value: state }
        };
        var kept = String(run(loaded, CONTINUE, event(REQUEST_ID, headers)).value('tracestate')).indexOf('th:') >= 0;
        if (kept !== vector.sampled) {
            fail(vector.name, kept);
        }
    });
}

function viewerRequests(loaded, file, fail) {
    file.vectors.forEach(function (vector) {
        var before = copy(vector.event.request);
        var input = copy(vector.event);
        var from = Date.now();
        var outcome = run(loaded, vector.baked, input);
        var until = Date.now();
        var want = vector.expected;
        if (outcome.returned !== input.request) {
            fail(vector.name, 'returned something else');
        }
        if (want.headers === null) {
            if (canonical(outcome.returned) !== canonical(before) || outcome.logged.length !== 0) {
                fail(vector.name, canonical(outcome.returned) + ' ' + outcome.logged.join());
            }
            return;
        }
        Object.keys(want.headers).forEach(function (name) {
            if (outcome.value(name) !== want.headers[name]) {
                fail(vector.name, name + ': ' + outcome.value(name));
            }
            // What is named was compared; the rest must be what it was.
            delete outcome.returned.headers[name];
            delete before.headers[name];
        });
        if (canonical(outcome.returned) !== canonical(before)) {
            fail(vector.name, 'something else was changed: ' + canonical(outcome.returned));
        }
        var start = String(outcome.logged[0]).split(';')[3];
        if (outcome.logged.length !== 1 || outcome.logged[0] !== want.payload.replace('{start}', start)) {
            fail(vector.name, outcome.logged.join());
        }
        if (Number(start) < from || Number(start) > until) {
            fail(vector.name, 'start: ' + start);
        }
    });
}

// A function with the module pasted in: what it logs of its own stands before ours.
function composed(loaded, fail) {
    var outcome = run(loaded, null, event(REQUEST_ID, { traceparent: { value: 'stale' } }));
    var sent = String(outcome.value('traceparent'));
    if (!/^00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-0[03]$/.test(sent)) {
        fail('sent', sent);
    }
    if (outcome.logged.length !== 1 || outcome.logged[0].indexOf('variant=abcdmine;rs1;' + sent + ';-;') !== 0) {
        fail('logged', outcome.logged.join());
    }
}

var CHECKS = {
    'traceparent.json': traceparents,
    'tracestate.json': tracestates,
    'request-ids.json': requestIds,
    'sampling.json': sampling,
    'viewer-request.json': viewerRequests
};

export default {
    files: Object.keys(CHECKS),
    check: function (loaded, name, file) {
        var failures = [];
        CHECKS[name](loaded, file, function (vector, got) {
            failures.push(name + ': ' + vector + ': got ' + got);
        });
        return failures;
    },
    checkComposed: function (loaded) {
        var failures = [];
        composed(loaded, function (what, got) { failures.push('composed: ' + what + ': got ' + got); });
        return failures;
    },
    run: run,
    event: event,
    copy: copy,
    canonical: canonical
};
