// Feeds the function with events that nobody promised not to send. Deterministic: a seed gives the same events in every
// engine.
import vectors from 'vectors.js';

var TEXTS = [
    '', '-', '00-', 'ot=', 'ot=th:', 'th:', '=', ',', ';', '\t', '\r\n', '\u0000', '\u00e9', '\ud800', '%00', '__proto__',
    'constructor', '4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7', '01', 'ff', 'FF', '0', 'a=1', ' '
];
var NAMES = ['traceparent', 'tracestate', 'baggage', 'b3', 'x-amzn-trace-id', 'x-force', 'host', '__proto__', 'constructor', ''];
var SETTINGS = {
    rules: [
        { pattern: '/a*', threshold: '8', trust: 'continue', baggage: 'keep' },
        { pattern: '*', threshold: '4', trust: 'restart', baggage: 'strip' }
    ],
    secret: { header: 'x-secret', sha256: '00' },
    force: { header: 'x-force', key: 'key' },
    propagators: ['b3', 'b3multi', 'xray']
};

function generator(seed) {
    var state = seed;
    return function (below) {
        // The constants of Numerical Recipes; products stay below 2^53.
        state = (state * 1664525 + 1013904223) % 4294967296;
        return Math.floor(state / 4294967296 * below);
    };
}

function text(random) {
    var result = '';
    for (var parts = random(6); parts > 0; parts--) {
        result += TEXTS[random(TEXTS.length)];
    }
    return random(50) === 0 ? result + new Array(5000).join(TEXTS[random(TEXTS.length)]) : result;
}

function anything(random, depth) {
    switch (random(depth > 3 ? 7 : 9)) {
    case 0: return null;
    case 1: return undefined;
    case 2: return random(1000) - 500;
    case 3: return random(2) === 0;
    case 4: return function () { return 1; };
    case 5: case 6: return text(random);
    case 7: return [anything(random, depth + 1), anything(random, depth + 1)];
    default: return { value: anything(random, depth + 1), multiValue: anything(random, depth + 1) };
    }
}

function context(random) {
    var flags = ['00', '01', '02', '03', 'ff'];
    return '00-' + TEXTS[17] + '-' + TEXTS[18] + '-' + flags[random(flags.length)];
}

function event(random) {
    var headers = {};
    for (var count = random(6); count > 0; count--) {
        headers[NAMES[random(NAMES.length)]] = random(3) === 0 ? anything(random, 0) : { value: text(random) };
    }
    if (random(3) === 0) {
        headers.traceparent = { value: context(random) };
    }
    var made = vectors.event('id' + random(1e9), headers);
    made.request.uri = '/' + text(random);
    // Break one node, at any depth.
    var node = made;
    for (var depth = 0; random(2) === 0 && depth < 4; depth++) {
        var keys = Object.keys(node);
        var key = keys[random(keys.length)];
        if (typeof node[key] !== 'object' || node[key] === null || Array.isArray(node[key])) {
            if (random(2) === 0) {
                node[key] = anything(random, 0);
            } else {
                delete node[key];
            }
            break;
        }
        if (random(8) === 0) {
            node[key] = anything(random, 0);
            break;
        }
        node = node[key];
    }
    return random(200) === 0 ? anything(random, 0) : made;
}

function problemOf(outcome, input) {
    if (outcome.returned !== (input ? input.request : input)) {
        return 'returned something else';
    }
    if (outcome.logged.length === 0) {
        return '';
    }
    var logged = outcome.logged[0];
    if (outcome.logged.length > 1 || logged.length > 200 || !/^rs1;[A-Za-z0-9=;:._-]+$/.test(logged)) {
        return 'logged ' + logged;
    }
    var sent = outcome.returned.headers;
    if (sent.traceparent.value !== logged.split(';')[1] || !/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$/.test(sent.traceparent.value)) {
        return 'sent ' + sent.traceparent.value;
    }
    if (sent.tracestate && (sent.tracestate.value === '' || sent.tracestate.value.length > 512)) {
        return 'sent tracestate ' + sent.tracestate.value;
    }
    return '';
}

// An answer to such an event. What viewer-request wrote may be there, or not.
function exchange(random) {
    var made = event(random);
    if (typeof made === 'object' && made !== null && random(20) > 0) {
        made.response = random(10) === 0 ? anything(random, 0) : {
            statusCode: 200,
            headers: random(10) === 0 ? anything(random, 0) : { 'server-timing': random(3) === 0 ? anything(random, 0) : { value: text(random) } }
        };
    }
    return made;
}

// The headers as far as they can be told apart; functions and undefined values are the same to JSON.
function print(value) {
    return JSON.stringify(value === undefined ? null : value);
}

// What viewer-response may do: add to two headers, if the request's context is whole.
function problemOfResponse(returned, input, before) {
    if (returned !== (input ? input.response : input)) {
        return 'returned something else';
    }
    var isChanged = print(returned) !== before;
    var sent = input && input.request && input.request.headers && input.request.headers.traceparent;
    var isWhole = sent && typeof sent.value === 'string' && /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(sent.value);
    if (isChanged && !isWhole) {
        return 'changed ' + before + ' to ' + print(returned);
    }
    return isChanged ? 'changed' : '';
}

export default {
    // The failures of the viewer-response function.
    checkResponse: function (loaded, count, seed) {
        var random = generator(seed);
        var failures = [];
        var changed = 0;
        loaded.configure({ respond: { serverTiming: true, header: 'x-trace-id' } });
        for (var i = 0; i < count; i++) {
            var input = exchange(random);
            var before = print(input ? input.response : input);
            var problem;
            try {
                problem = problemOfResponse(loaded.handler(input), input, before);
            } catch (error) {
                problem = 'threw ' + error;
            }
            if (problem === 'changed') {
                changed++;
            } else if (problem) {
                failures.push('fuzz answer ' + i + ': ' + problem);
            }
        }
        if (changed < count / 10) {
            failures.push('fuzz: only ' + changed + ' of ' + count + ' answers were changed');
        }
        return failures;
    },
    // The failures among `count` events.
    check: function (loaded, count, seed) {
        var random = generator(seed);
        var failures = [];
        var traced = 0;
        for (var i = 0; i < count; i++) {
            var input = event(random);
            var problem;
            try {
                var outcome = vectors.run(loaded, SETTINGS, input);
                problem = problemOf(outcome, input);
                traced += outcome.logged.length;
            } catch (error) {
                problem = 'threw ' + error;
            }
            if (problem) {
                failures.push('fuzz event ' + i + ': ' + problem);
            }
        }
        if (traced < count / 4) {
            failures.push('fuzz: only ' + traced + ' of ' + count + ' events were traced');
        }
        return failures;
    }
};
