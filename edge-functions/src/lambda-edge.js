/**
 * rootspan's Lambda@Edge functions, Node.js 22 and 24. `rootspan edge build` puts the rules of viewer-request.js before
 * this file, and for each event a line behind it that exports the handler.
 *
 * Beside a viewer-request function, its own or CloudFront's, the origin functions make the CLIENT span of the call to the
 * origin: origin-request sends its id as the parent, origin-response knows the end. Without one they open the trace
 * themselves and the span is the SERVER span of the request; a cache hit then has none. Which of the two it is tells the
 * parent's id: only a function that saw this very request knows it.
 *
 * Spans go out as a log line of OTLP JSON, or by OTLP/HTTP within a budget, and then too as a log line if that fails. A
 * handler never rejects and never changes what it does not understand.
 *
 * @typedef {Object<string, Array<{key?: string, value: string}>>} LambdaHeaders
 * @typedef {{service: string, export?: {url: string, token: string, budgetMillis: number}}} LambdaSettings
 */
import crypto from 'node:crypto';
import http from 'node:http';
import https from 'node:https';

// rootspan:lambda:begin
/** @type {LambdaSettings} */
var LAMBDA = {"service":"cloudfront"};
// rootspan:lambda:end

var VERSION = '0.0.0';

/** Carries start and parents from origin-request to origin-response; the origin sees it, and there is nothing secret in it. */
var STATE_HEADER = 'x-rootspan-origin';

/** Answers of a receiver are a few bytes; more is not read. */
var ANSWER_MAX_BYTES = 65536;

var agents = {
    'http:': new http.Agent({ keepAlive: true, maxSockets: 4 }),
    'https:': new https.Agent({ keepAlive: true, maxSockets: 4 })
};

/**
 * The module's way in for viewer-request: changes the request and returns what is to be logged, empty if it is not traced.
 * @param {*} event
 * @returns {string}
 */
export function viewerRequest(event) {
    try {
        var cf = event.Records[0].cf;
        var id = requestId(cf);
        if (id === '') {
            return '';
        }
        var flat = flatten(cf.request.headers);
        var decision = decide(cf.request.uri, flat, id);
        rewrite(cf.request.headers, flat, decision);
        return id + ' ' + decision.payload;
    } catch (problem) {
        return '';
    }
}

/**
 * The module's way in for origin-request: opens the span. Returns whether it did.
 * @param {*} event
 * @param {number} [now] milliseconds
 */
export function originRequest(event, now) {
    try {
        var cf = event.Records[0].cf;
        var id = requestId(cf);
        var domain = originDomain(cf.request);
        if (id === '' || domain === '') {
            return false;
        }
        var flat = flatten(cf.request.headers);
        var own = sha256(id).slice(32, 48);
        var parent = parseTraceparent(single(flat, 'traceparent'));
        var earlier = single(flat, STATE_HEADER).split(';');
        var decision;
        if (parent && earlier[2] === own && earlier[1] === single(flat, 'traceparent')) {
            // The second origin of a group: the first one's span is no parent, the viewer's is.
            parent.spanId = own;
        }
        if (parent && parent.spanId === own) {
            decision = originCall(parent, clientSpanId(id, domain), flat);
        } else {
            decision = decide(cf.request.uri, flat, id);
        }
        var start = typeof now === 'number' ? now : Date.now();
        var state = decision.payload.split(';');
        state[3] = String(start);
        rewrite(cf.request.headers, flat, decision);
        cf.request.headers[STATE_HEADER] = [{ key: 'X-Rootspan-Origin', value: state.join(';') }];
        return true;
    } catch (problem) {
        return false;
    }
}

/**
 * The module's way in for origin-response: the finished span as an OTLP request, or null if there is none.
 * @param {*} event
 * @param {number} [now] milliseconds
 * @returns {?Object}
 */
export function originResponse(event, now) {
    try {
        var cf = event.Records[0].cf;
        var id = requestId(cf);
        var flat = flatten(cf.request.headers);
        var state = single(flat, STATE_HEADER).split(';');
        var context = parseTraceparent(state[1] || '');
        var status = Number(cf.response.status);
        if (id === '' || state[0] !== 'rs1' || state.length !== 7 || !context || (context.flags & 1) === 0) {
            return null;
        }
        var isClient = context.spanId === clientSpanId(id, originDomain(cf.request));
        var isRoot = context.spanId === sha256(id).slice(32, 48);
        var start = Number(state[3]);
        if (!isClient && !isRoot || !(start > 0) || !(status >= 100 && status <= 999)) {
            return null;
        }
        var end = Math.max(start, typeof now === 'number' ? now : Date.now());
        return otlp(span(cf, flat, context, state, start, end, isClient, status));
    } catch (problem) {
        return null;
    }
}

/**
 * Sends a span, within the budget. Resolves always; what could not be sent is logged.
 * @param {?Object} request
 * @returns {Promise<void>}
 */
export async function emit(request) {
    if (request === null) {
        return;
    }
    var body = JSON.stringify(request);
    // The log has room for one line of 256 KiB; ours has about 1 KiB.
    if (!LAMBDA.export || !(await send(body, LAMBDA.export))) {
        console.log(body);
    }
}

/**
 * @param {import('aws-lambda').CloudFrontRequestEvent} event
 * @returns {Promise<import('aws-lambda').CloudFrontRequest | undefined>}
 */
async function handleViewerRequest(event) {
    var payload = viewerRequest(event);
    if (payload !== '') {
        console.log(payload);
    }
    return event && event.Records && event.Records[0] && event.Records[0].cf ? event.Records[0].cf.request : undefined;
}

/**
 * @param {import('aws-lambda').CloudFrontRequestEvent} event
 * @returns {Promise<import('aws-lambda').CloudFrontRequest | undefined>}
 */
async function handleOriginRequest(event) {
    originRequest(event);
    return event && event.Records && event.Records[0] && event.Records[0].cf ? event.Records[0].cf.request : undefined;
}

/**
 * @param {import('aws-lambda').CloudFrontResponseEvent} event
 * @returns {Promise<import('aws-lambda').CloudFrontResponse | undefined>}
 */
async function handleOriginResponse(event) {
    await emit(originResponse(event));
    return event && event.Records && event.Records[0] && event.Records[0].cf ? event.Records[0].cf.response : undefined;
}

/**
 * The context of the call to the origin, under the viewer's span; tracestate and baggage are as viewer-request left them.
 * @param {Context} parent
 * @param {string} spanId
 * @param {Headers} flat
 * @returns {Decision}
 */
function originCall(parent, spanId, flat) {
    var traceparent = '00-' + parent.traceId + '-' + spanId + '-0' + (parent.flags & 3);
    return {
        traceparent: traceparent,
        tracestate: printTracestate(parseTracestate(values(flat, 'tracestate')) || []),
        payload: payload(traceparent, parent.spanId, '', '', ''),
        rule: { pattern: '*', threshold: '', trust: 'continue', baggage: 'keep' },
        xray: single(flat, 'x-amzn-trace-id')
    };
}

/** The same for every retry, another one for the second origin of a group. */
function clientSpanId(id, domain) {
    return sha256(id + ':' + domain).slice(0, 16);
}

function span(cf, flat, context, state, start, end, isClient, status) {
    var request = cf.request;
    var isError = status >= (isClient ? 400 : 500);
    var result = {
        traceId: context.traceId,
        spanId: context.spanId,
        parentSpanId: state[2] === '-' ? '' : state[2],
        traceState: values(flat, 'tracestate').join(','),
        flags: context.flags | (state[2] === '-' || isClient ? 256 : 768),
        name: String(request.method),
        kind: isClient ? 3 : 2,
        startTimeUnixNano: start + '000000',
        endTimeUnixNano: end + '000000',
        attributes: attributes(cf, isClient, status, isError)
    };
    if (isError) {
        result.status = { code: 2 };
    }
    if (state[6] !== '-') {
        result.links = [{ traceId: state[6].slice(0, 32), spanId: state[6].slice(33) }];
    }
    return result;
}

/** No query and no address of the viewer: those are for the access log, where a configuration decides about them. */
function attributes(cf, isClient, status, isError) {
    var request = cf.request;
    var origin = request.origin && request.origin.custom;
    var list = [
        text('http.request.method', request.method),
        { key: 'http.response.status_code', value: { intValue: String(status) } },
        text('aws.cloudfront.request_id', cf.config.requestId),
        text('aws.cloudfront.distribution_id', cf.config.distributionId),
        text('aws.cloudfront.context', 'function')
    ];
    if (isError) {
        list.push(text('error.type', String(status)));
    }
    if (isClient) {
        var scheme = origin ? origin.protocol : 'https';
        var port = origin ? Number(origin.port) : 443;
        var isDefault = port === (scheme === 'https' ? 443 : 80);
        list.push(text('server.address', originDomain(request)), { key: 'server.port', value: { intValue: String(port) } });
        var path = (origin ? origin.path : request.origin.s3.path) || '';
        list.push(text('url.full', scheme + '://' + originDomain(request) + (isDefault ? '' : ':' + port) + path + pathOf(request)));
    } else {
        list.push(text('url.path', pathOf(request)));
    }
    return list;
}

/**
 * Without the values of its parameters (`;jsessionid=…`), as access logs' spans have it: where there are no cookies, sessions
 * are kept there.
 */
function pathOf(request) {
    return String(request.uri).replace(/(;|%3[Bb])[^\/]*/g, ';REDACTED');
}

function otlp(finished) {
    var resource = [text('service.name', LAMBDA.service), text('cloud.provider', 'aws')];
    if (process.env.AWS_REGION) {
        resource.push(text('cloud.region', process.env.AWS_REGION));
    }
    return {
        resourceSpans: [{
            resource: { attributes: resource },
            scopeSpans: [{ scope: { name: 'rootspan/lambda-edge', version: VERSION }, spans: [finished] }]
        }]
    };
}

function text(key, value) {
    return { key: key, value: { stringValue: String(value) } };
}

/**
 * Posts the body; resolves to whether it was accepted in time. The connection stays open for the next invocation.
 * @param {string} body
 * @param {{url: string, token: string, budgetMillis: number}} to
 * @returns {Promise<boolean>}
 */
function send(body, to) {
    return new Promise(function (resolve) {
        var timer;
        try {
            var url = new URL(to.url);
            var bytes = Buffer.from(body);
            var headers = { 'content-type': 'application/json', 'content-length': bytes.length };
            if (to.token) {
                headers.authorization = 'Bearer ' + to.token;
            }
            var client = url.protocol === 'https:' ? https : http;
            var isOver = false;
            var giveUp = function () {};
            var done = function (accepted) {
                isOver = true;
                clearTimeout(timer);
                resolve(accepted);
            };
            // The budget is of wall-clock time: `timeout` of Node counts idle time, and begins again with every byte.
            timer = setTimeout(function () {
                done(false);
                giveUp();
            }, to.budgetMillis);
            var attempt = function () {
                var answered = false;
                var request = client.request(url, { method: 'POST', headers: headers, agent: agents[url.protocol] });
                giveUp = function () { request.destroy(); };
                request.on('error', function () {
                    // A server may end a connection that rests just when it is used again. Such a connection is gone from the
                    // agent, so this ends; what may have arrived twice has the same ids.
                    if (request.reusedSocket && !answered && !isOver) {
                        attempt();
                    } else {
                        done(false);
                    }
                });
                request.on('response', function (response) {
                    answered = true;
                    var length = 0;
                    response.on('data', function (chunk) {
                        length += chunk.length;
                        if (length > ANSWER_MAX_BYTES) {
                            request.destroy();
                        }
                    });
                    response.on('error', function () { done(false); });
                    var status = response.statusCode || 0;
                    response.on('end', function () { done(status >= 200 && status < 300); });
                });
                request.end(bytes);
            };
            attempt();
        } catch (problem) {
            clearTimeout(timer);
            resolve(false);
        }
    });
}

/** Node's headers in the shape of CloudFront Functions, which the rules read. */
function flatten(headers) {
    /** @type {Headers} */
    var flat = Object.create(null);
    Object.keys(headers).forEach(function (name) {
        var entries = Array.isArray(headers[name]) ? headers[name] : [];
        flat[name] = { value: entries.length === 1 ? entries[0].value : '', multiValue: entries };
    });
    return flat;
}

/** Lets `apply` change the flat form, then brings over what it changed. Nothing is touched if `apply` fails. */
function rewrite(headers, flat, decision) {
    var before = Object.keys(flat);
    var changed = Object.create(null);
    before.forEach(function (name) { changed[name] = flat[name]; });
    apply(decision, changed);
    before.forEach(function (name) {
        if (!(name in changed)) {
            delete headers[name];
        }
    });
    Object.keys(changed).forEach(function (name) {
        if (changed[name] !== flat[name]) {
            headers[name] = [{ key: capitals(name), value: changed[name].value }];
        }
    });
}

function capitals(name) {
    return name.split('-').map(function (part) { return part.charAt(0).toUpperCase() + part.slice(1); }).join('-');
}

function requestId(cf) {
    return typeof cf.config.requestId === 'string' && isObject(cf.request.headers) ? cf.config.requestId : '';
}

function originDomain(request) {
    var origin = request.origin && (request.origin.custom || request.origin.s3);
    return origin && typeof origin.domainName === 'string' ? origin.domainName : '';
}
