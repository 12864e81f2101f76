/**
 * rootspan's optional viewer-response function for CloudFront Functions, runtime cloudfront-js-2.0: tells the viewer the id of
 * the trace, in `Server-Timing` or in a header of its own. It makes no spans; where it does not run (origin errors, error
 * pages, redirects) the viewer only misses the header.
 *
 * The context is what viewer-request wrote into the request. CloudFront's guide does not promise that it is visible here,
 * so without it the header is left out rather than guessed.
 *
 * Plain ES5. It must never throw and never change a response that it does not understand.
 */
// rootspan:settings:begin
var SETTINGS = {"respond":{"serverTiming":true,"header":""}};
// rootspan:settings:end

/**
 * What CloudFront calls.
 * @param {AWSCloudFrontFunction.Event} event
 * @returns {AWSCloudFrontFunction.Response}
 */
function handler(event) {
    rootspan(event);
    return event ? event.response : event;
}

/** @param {*} event */
function rootspan(event) {
    try {
        var header = event.request.headers.traceparent;
        var headers = event.response.headers;
        var match = /^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(header ? header.value : '');
        if (!match || header.multiValue || typeof headers !== 'object' || headers === null || Array.isArray(headers)) {
            return;
        }
        if (SETTINGS.respond.serverTiming) {
            addServerTiming(headers, 'traceparent;desc="' + match[0] + '"');
        }
        if (SETTINGS.respond.header !== '') {
            headers[SETTINGS.respond.header] = { value: match[1] };
        }
    } catch (problem) {
        // Without the header the response is still served.
    }
}

/**
 * Beside what the origin measured; one that is not understood stays alone.
 * @param {Object<string, *>} headers
 * @param {string} metric
 */
function addServerTiming(headers, metric) {
    var existing = headers['server-timing'];
    if (existing === undefined) {
        headers['server-timing'] = { value: metric };
    } else if (existing && typeof existing.value === 'string' && !existing.multiValue) {
        headers['server-timing'] = { value: existing.value === '' ? metric : existing.value + ', ' + metric };
    }
}
