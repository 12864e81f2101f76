/**
 * rootspan's viewer-request function for CloudFront Functions, runtime cloudfront-js-2.0.
 *
 * It opens the trace at the CDN: ids from the request id, the sampling decision, `traceparent` and `tracestate` for the
 * origin, and the same ids for the access-log record, out of which rootspan makes the viewer's span.
 *
 * Plain ES5 but for the one import. It must never throw, for that would fail the viewer's request, and it must leave a
 * request that it does not understand as it is. The rules are those of crates/model; testdata/propagation/ holds the
 * vectors that both run. `rootspan edge build` replaces the settings, leaves out the sections between `rootspan:if` and
 * `rootspan:end` that the settings do not need, and makes it small. The same file without its handler begins the
 * Lambda@Edge functions (lambda-edge.js).
 *
 * CloudFront allows one function per event. A distribution that has one already takes viewer-request.module.js, which has
 * no handler, calls `rootspan(event)` first and logs what that returns in its own call of `cf.logCustomData`.
 *
 * @typedef {{value: string, multiValue?: Array<{value: string}>}} Header
 * @typedef {Object<string, Header>} Headers
 * @typedef {{pattern: string, threshold: string, trust: string, baggage: string}} Rule
 *   `threshold` as in `ot=th`, empty to sample nothing; `trust` is restart or continue; `baggage` is strip or keep.
 * @typedef {{rules: Array<Rule>, secret: ?{header: string, sha256: string}, propagators?: Array<string>, via?: string,
 *   force?: {header: string, key: string}, respond?: {serverTiming: boolean, header: string}}} Settings
 *   The last rule has the pattern `*`; `propagators` are those beside W3C's: b3, b3multi, xray; `via` is custom-data (the
 *   default), console or both.
 * @typedef {{traceId: string, spanId: string, flags: number}} Context
 * @typedef {{th: string, rv: string, other: Array<string>}} Ot
 * @typedef {{traceparent: string, tracestate: string, payload: string, rule: Rule, xray: string}} Decision
 *   `xray` is the X-Amzn-Trace-Id whose other fields are sent on.
 */
// rootspan:if standalone
// rootspan:if custom-data
import cf from 'cloudfront';

// rootspan:end
// rootspan:end
// rootspan:if cloudfront
var crypto = require('crypto');
// rootspan:end

// rootspan:settings:begin
/** @type {Settings} */
var SETTINGS = {"rules":[{"pattern":"*","threshold":"0","trust":"restart","baggage":"strip"}],"secret":null};
// rootspan:settings:end

var TRACEPARENT_MIN_CHARS = 55;
// rootspan:if force
var FORCE_CHARS = 75;
// rootspan:end
/** An invalid trace id; its half is an invalid span id. */
var ZEROS = '00000000000000000000000000000000';
// rootspan:if incoming
var TRACESTATE_MAX_MEMBERS = 32;
var TRACESTATE_MAX_CHARS = 512;
var TRACESTATE_LARGE_MEMBER_CHARS = 128;
// rootspan:if propagators
var XRAY_MAX_CHARS = 512;
// rootspan:end
// rootspan:end
// rootspan:if continue
var OT_VALUE_MAX_CHARS = 256;
// rootspan:end

// rootspan:if standalone
/**
 * What CloudFront calls.
 * @param {AWSCloudFrontFunction.Event} event
 * @returns {AWSCloudFrontFunction.Request}
 */
function handler(event) {
    log(rootspan(event));
    return event ? event.request : event;
}

/**
 * A runtime without the helper still sends the headers.
 * @param {string} text
 */
function log(text) {
    try {
        // rootspan:if custom-data
        if (text !== '' && SETTINGS.via !== 'console') {
            cf.logCustomData(text);
        }
        // rootspan:end
        // rootspan:if console
        if (text !== '' && SETTINGS.via && SETTINGS.via !== 'custom-data') {
            console.log(text);
        }
        // rootspan:end
    } catch (problem) {
        // The record's ids will be derived.
    }
}
// rootspan:end

// rootspan:if cloudfront
/**
 * Traces the request of the event. All that can go wrong goes wrong before the request is touched.
 * @param {*} event
 * @returns {string} what is to be logged; empty if the request is not traced.
 */
function rootspan(event) {
    try {
        var headers = event.request.headers;
        var requestId = event.context.requestId;
        if (typeof requestId !== 'string' || requestId === '' || !isObject(headers)) {
            return '';
        }
        var decision = decide(event.request.uri, headers, requestId);
        apply(decision, headers);
        return decision.payload;
    } catch (problem) {
        // Without a trace the request is still served.
        return '';
    }
}
// rootspan:end

/**
 * @param {*} uri
 * @param {Headers} headers
 * @param {string} requestId
 * @returns {Decision}
 */
function decide(uri, headers, requestId) {
    var hash = sha256(requestId);
    var spanId = hash.slice(32, 48);
    var rule = ruleFor(typeof uri === 'string' ? uri : '');
    var incoming = parseTraceparent(single(headers, 'traceparent'));
    var forced = false;
    // rootspan:if force
    forced = isForced(headers);
    // rootspan:end
    // rootspan:if continue
    if (incoming && (rule.trust === 'continue' || knowsSecret(headers))) {
        return continueTrace(incoming, spanId, headers, rule, forced);
    }
    // rootspan:end
    var traceId = hash.slice(0, 32);
    var threshold = forced ? '0' : rule.threshold;
    var sampled = keeps(threshold, traceId.slice(18));
    var traceparent = '00-' + traceId + '-' + spanId + (sampled ? '-03' : '-00');
    return {
        traceparent: traceparent,
        tracestate: sampled ? 'ot=th:' + threshold : '',
        payload: payload(traceparent, '', threshold, '', incoming ? incoming.traceId + '-' + incoming.spanId : ''),
        rule: rule,
        xray: ''
    };
}

// rootspan:if continue
/**
 * The trace goes on under our span; the sender's decision holds unless sampling is forced.
 * @param {Context} incoming
 * @param {string} spanId
 * @param {Headers} headers
 * @param {Rule} rule
 * @param {boolean} forced
 * @returns {Decision}
 */
function continueTrace(incoming, spanId, headers, rule, forced) {
    var members = parseTracestate(values(headers, 'tracestate')) || [];
    var ot = takeOt(members);
    var sampled = (incoming.flags & 1) === 1;
    if (!sampled || !keeps(ot.th, ot.rv || incoming.traceId.slice(18))) {
        // A threshold that did not lead to this decision would make the trace count wrongly.
        ot.th = '';
    }
    var value = printOt(ot);
    if (value !== '') {
        members.unshift('ot=' + value);
    }
    var traceparent = '00-' + incoming.traceId + '-' + spanId + '-0' + (incoming.flags & 3 | (forced ? 1 : 0));
    return {
        traceparent: traceparent,
        tracestate: printTracestate(members),
        payload: payload(traceparent, incoming.spanId, ot.th, ot.rv, ''),
        rule: rule,
        xray: single(headers, 'x-amzn-trace-id')
    };
}
// rootspan:end

/**
 * @param {Decision} decision
 * @param {Headers} headers
 */
function apply(decision, headers) {
    headers.traceparent = { value: decision.traceparent };
    if (decision.tracestate === '') {
        delete headers.tracestate;
    } else {
        headers.tracestate = { value: decision.tracestate };
    }
    if (decision.rule.baggage !== 'keep') {
        delete headers.baggage;
    }
    // Of other propagators: a stale one beside ours would send the origin's spans into another trace. A loop would cost more.
    delete headers.b3;
    delete headers['x-b3-traceid'];
    delete headers['x-b3-spanid'];
    delete headers['x-b3-parentspanid'];
    delete headers['x-b3-sampled'];
    delete headers['x-b3-flags'];
    delete headers['x-amzn-trace-id'];
    // rootspan:if secret
    if (SETTINGS.secret) {
        delete headers[SETTINGS.secret.header];
    }
    // rootspan:end
    // rootspan:if force
    if (SETTINGS.force) {
        delete headers[SETTINGS.force.header];
    }
    // rootspan:end
    // rootspan:if propagators
    propagate(decision, headers);
    // rootspan:end
}

// rootspan:if propagators
/**
 * The same context for those who do not read W3C's header; see crates/model/src/b3 and xray.
 * @param {Decision} decision
 * @param {Headers} headers
 */
function propagate(decision, headers) {
    var trace = decision.traceparent.slice(3, 35), span = decision.traceparent.slice(36, 52);
    var sampled = parseInt(decision.traceparent.slice(53), 16) & 1;
    var names = SETTINGS.propagators || [];
    if (names.indexOf('b3') >= 0) {
        headers.b3 = { value: trace + '-' + span + '-' + sampled };
    }
    if (names.indexOf('b3multi') >= 0) {
        headers['x-b3-traceid'] = { value: trace };
        headers['x-b3-spanid'] = { value: span };
        headers['x-b3-sampled'] = { value: String(sampled) };
    }
    if (names.indexOf('xray') >= 0) {
        var value = 'Root=1-' + trace.slice(0, 8) + '-' + trace.slice(8) + ';Parent=' + span + ';Sampled=' + sampled;
        // rootspan:if incoming
        if (decision.xray !== '') {
            value += otherFields(decision.xray, XRAY_MAX_CHARS - value.length);
        }
        // rootspan:end
        headers['x-amzn-trace-id'] = { value: value };
    }
}

// rootspan:if incoming
/**
 * The fields of an X-Amzn-Trace-Id that are not ours; not `Self`, which names the hop before.
 * @param {string} received
 * @param {number} room
 */
function otherFields(received, room) {
    var parts = received.split(';');
    var others = '';
    for (var i = 0; i < parts.length; i++) {
        var field = trim(parts[i]);
        var isOther = field.indexOf('=') >= 0 && !/^(Root|Parent|Sampled|Self)=/.test(field);
        if (isOther && others.length + 1 + field.length <= room) {
            others += ';' + field;
        }
    }
    return others;
}
// rootspan:end
// rootspan:end

/**
 * The access log's part; see crates/model/src/log_payload.
 * @param {string} traceparent
 * @param {string} parent
 * @param {string} th
 * @param {string} rv
 * @param {string} link
 */
function payload(traceparent, parent, th, rv, link) {
    return ['rs1', traceparent, parent || '-', Date.now(), th || '-', rv || '-', link || '-'].join(';');
}

/**
 * @param {string} uri
 * @returns {Rule}
 */
function ruleFor(uri) {
    var rules = SETTINGS.rules;
    var last = rules.length - 1;
    // rootspan:if paths
    for (var i = 0; i < last; i++) {
        if (matches(rules[i].pattern, uri)) {
            return rules[i];
        }
    }
    // rootspan:end
    return rules[last];
}

// rootspan:if paths
/**
 * CloudFront's path patterns: `*` is any characters, `?` exactly one. Goes back to the last star only, so that no
 * pattern takes more than length × length steps.
 * @param {string} pattern
 * @param {string} uri
 */
function matches(pattern, uri) {
    var p = 0, u = 0, star = -1, from = 0;
    while (u < uri.length) {
        if (pattern[p] === '*') {
            star = p++;
            from = u;
            if (p === pattern.length) {
                return true;
            }
        } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === uri[u])) {
            p++;
            u++;
        } else if (star >= 0) {
            p = star + 1;
            u = ++from;
        } else {
            return false;
        }
    }
    while (pattern[p] === '*') {
        p++;
    }
    return p === pattern.length;
}
// rootspan:end

// rootspan:if continue
/** @param {Headers} headers */
function knowsSecret(headers) {
    // rootspan:if secret
    if (SETTINGS.secret) {
        var given = single(headers, SETTINGS.secret.header);
        return given !== '' && sha256(given) === SETTINGS.secret.sha256;
    }
    // rootspan:end
    return false;
}
// rootspan:end

// rootspan:if force
/**
 * Whether the request asks to be sampled and may: `<expires>.<HMAC>`, the time in Unix seconds, the HMAC-SHA-256 of that text
 * in hexadecimal. Who has seen one can use it until then.
 * @param {Headers} headers
 */
function isForced(headers) {
    if (SETTINGS.force) {
        var given = single(headers, SETTINGS.force.header);
        var match = given.length === FORCE_CHARS ? /^([0-9]{10})\.([0-9a-f]{64})$/.exec(given) : null;
        if (match && Number(match[1]) * 1000 > Date.now()) {
            var expected = crypto.createHmac('sha256', SETTINGS.force.key).update(match[1]).digest('hex');
            var difference = 0;
            for (var i = 0; i < 64; i++) {
                difference |= expected.charCodeAt(i) ^ match[2].charCodeAt(i);
            }
            return difference === 0;
        }
    }
    return false;
}
// rootspan:end
