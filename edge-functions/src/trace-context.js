/**
 * What stands behind viewer-request.js in every function that uses its rules: reading and printing W3C Trace Context, the
 * sampling decision, headers and digests. Pure functions; they throw nothing on any text.
 *
 * The sections (`rootspan:if`) are those of viewer-request.js.
 */

/**
 * W3C Trace Context level 2, section 3.2.
 * @param {string} header
 * @returns {?Context}
 */
function parseTraceparent(header) {
    if (header.length < TRACEPARENT_MIN_CHARS) {
        // Most requests have none: no pattern is needed to see that.
        return null;
    }
    var match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-|$)/.exec(header);
    if (!match || match[1] === 'ff' || (match[1] === '00' && header.length !== 55)) {
        return null;
    }
    if (match[2] === ZEROS || match[3] === ZEROS.slice(16)) {
        return null;
    }
    return { traceId: match[2], spanId: match[3], flags: parseInt(match[4], 16) };
}

// rootspan:if incoming
/**
 * W3C Trace Context level 2, section 3.3. The members as they are printed, or null if a rule is broken.
 * @param {Array<string>} headers
 * @returns {?Array<string>}
 */
function parseTracestate(headers) {
    var parts = headers.join(',').split(',');
    var members = [];
    /** @type {Object<string, boolean>} */
    var seen = {};
    for (var i = 0; i < parts.length; i++) {
        var member = trim(parts[i]);
        if (member === '') {
            continue;
        }
        var match = /^([a-z0-9][a-z0-9_*\/@-]{0,255})=[ -+\--<>-~]{1,256}$/.exec(member);
        if (!match || seen['=' + match[1]] || members.length === TRACESTATE_MAX_MEMBERS) {
            return null;
        }
        seen['=' + match[1]] = true;
        members.push(member);
    }
    return members;
}
// rootspan:end

// rootspan:if continue
/**
 * Takes OpenTelemetry's member out of the list.
 * @param {Array<string>} members
 * @returns {Ot}
 */
function takeOt(members) {
    for (var i = 0; i < members.length; i++) {
        if (members[i].slice(0, 3) === 'ot=') {
            return parseOt(members.splice(i, 1)[0].slice(3));
        }
    }
    return parseOt('');
}

/**
 * @param {string} value
 * @returns {Ot}
 */
function parseOt(value) {
    /** @type {Ot} */
    var ot = { th: '', rv: '', other: [] };
    var parts = value.split(';');
    for (var i = 0; i < parts.length; i++) {
        var match = /^([a-z][a-z0-9]*):([A-Za-z0-9._-]*)$/.exec(parts[i]);
        if (!match || value.length > OT_VALUE_MAX_CHARS) {
            return { th: '', rv: '', other: [] };
        }
        if (match[1] === 'th') {
            ot.th = /^[0-9a-f]{1,14}$/.test(match[2]) ? match[2].replace(/0+$/, '') || '0' : '';
        } else if (match[1] === 'rv') {
            ot.rv = /^[0-9a-f]{14}$/.test(match[2]) ? match[2] : '';
        } else {
            ot.other.push(parts[i]);
        }
    }
    return ot;
}

/** @param {Ot} ot */
function printOt(ot) {
    var parts = (ot.th === '' ? [] : ['th:' + ot.th]).concat(ot.rv === '' ? [] : ['rv:' + ot.rv], ot.other);
    return parts.join(';');
}
// rootspan:end

// rootspan:if incoming
/**
 * At most 512 characters: members longer than 128 go first, then the last ones; `ot` stays.
 * @param {Array<string>} members
 */
function printTracestate(members) {
    var printed = members.join(',');
    if (printed.length <= TRACESTATE_MAX_CHARS) {
        return printed;
    }
    var smallest = TRACESTATE_LARGE_MEMBER_CHARS + 1;
    for (var pass = 0; pass < 2; pass++) {
        for (var i = members.length - 1; i >= 0 && members.join(',').length > TRACESTATE_MAX_CHARS; i--) {
            if (members[i].length >= smallest && members[i].slice(0, 3) !== 'ot=') {
                members.splice(i, 1);
            }
        }
        smallest = 0;
    }
    return members.join(',');
}
// rootspan:end

/**
 * The sampling decision. Thresholds and random values have 56 bits, more than a number holds exactly: as digits of the
 * same length they compare like numbers.
 * @param {string} threshold
 * @param {string} randomness
 */
function keeps(threshold, randomness) {
    return threshold !== '' && (threshold + '00000000000000').slice(0, 14) <= randomness;
}

/**
 * The value of a header that was sent exactly once.
 * @param {Headers} headers
 * @param {string} name
 */
function single(headers, name) {
    var all = values(headers, name);
    return all.length === 1 ? all[0] : '';
}

/**
 * @param {Headers} headers
 * @param {string} name
 * @returns {Array<string>}
 */
function values(headers, name) {
    var header = headers[name];
    if (!isObject(header)) {
        return [];
    }
    var entries = Array.isArray(header.multiValue) ? header.multiValue : [header];
    var texts = [];
    for (var i = 0; i < entries.length; i++) {
        if (isObject(entries[i]) && typeof entries[i].value === 'string') {
            texts.push(entries[i].value);
        }
    }
    return texts;
}

/**
 * @param {string} text
 * @returns {string}
 */
function sha256(text) {
    return crypto.createHash('sha256').update(text).digest('hex');
}

/** @param {*} value */
function isObject(value) {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// rootspan:if incoming
/**
 * Without spaces and tabs at the ends; a loop, since a pattern would be quadratic on hostile input.
 * @param {string} text
 */
function trim(text) {
    var start = 0, end = text.length;
    while (start < end && (text[start] === ' ' || text[start] === '\t')) {
        start++;
    }
    while (end > start && (text[end - 1] === ' ' || text[end - 1] === '\t')) {
        end--;
    }
    return text.slice(start, end);
}
// rootspan:end
