// Makes a bare QuickJS context into what a CloudFront function sees. Runs once per invocation, before the function.
// `host` has the few things that JavaScript cannot do; nothing of it stays reachable afterwards.
(function (host) {
    'use strict';
    const global = globalThis;

    // === Date: every current time is the function's start ===
    const NativeDate = Date;
    const start = host.start;
    const FrozenDate = function Date(...parts) {
        if (new.target === undefined) {
            return new NativeDate(start).toString();
        }
        return Reflect.construct(NativeDate, parts.length === 0 ? [start] : parts, new.target);
    };
    FrozenDate.prototype = NativeDate.prototype;
    FrozenDate.UTC = NativeDate.UTC;
    FrozenDate.parse = NativeDate.parse;
    FrozenDate.now = () => start;
    NativeDate.prototype.constructor = FrozenDate;
    global.Date = FrozenDate;

    // === Buffer: what digests and encodings need ===
    class Buffer extends Uint8Array {
        static from(value, encoding) {
            return Buffer.of(...(typeof value === 'string' ? host.decode(value, encoding || 'utf8') : Array.from(value)));
        }
        static alloc(size) {
            return new Buffer(size);
        }
        static isBuffer(value) {
            return value instanceof Buffer;
        }
        static concat(list) {
            return Buffer.of(...list.flatMap((part) => Array.from(part)));
        }
        toString(encoding) {
            return host.encode(Array.from(this), encoding || 'utf8');
        }
    }

    // === crypto ===
    class Hash {
        #algorithm;
        #key;
        #parts = [];
        #done = false;
        constructor(algorithm, key) {
            if (!host.hasHash(String(algorithm))) {
                throw new TypeError('not supported algorithm: "' + algorithm + '"');
            }
            this.#algorithm = String(algorithm);
            this.#key = key;
        }
        update(data) {
            if (this.#done) {
                throw new Error('Digest already called');
            }
            if (typeof data !== 'string' && !(data instanceof Uint8Array)) {
                throw new TypeError('data must be a string or a buffer');
            }
            this.#parts.push(Buffer.from(data));
            return this;
        }
        digest(encoding) {
            if (this.#done) {
                throw new Error('Digest already called');
            }
            this.#done = true;
            const bytes = Buffer.from(host.hash(this.#algorithm, this.#key, Array.from(Buffer.concat(this.#parts))));
            return encoding === undefined ? bytes : bytes.toString(encoding);
        }
    }
    const crypto = {
        createHash: (algorithm) => new Hash(algorithm, null),
        createHmac: (algorithm, key) => new Hash(algorithm, Array.from(Buffer.from(key)))
    };

    // === querystring ===
    const escape = (text) => encodeURIComponent(text);
    const unescape = (text) => {
        try {
            return decodeURIComponent(text);
        } catch (malformed) {
            return text;
        }
    };
    const querystring = {
        escape,
        unescape,
        parse(text, separator = '&', equals = '=') {
            const result = Object.create(null);
            for (const pair of String(text).split(separator)) {
                if (pair === '') {
                    continue;
                }
                const at = pair.indexOf(equals);
                const part = (piece) => querystring.unescape(piece.replace(/\+/g, ' '));
                const key = part(at < 0 ? pair : pair.slice(0, at));
                const value = at < 0 ? '' : part(pair.slice(at + equals.length));
                result[key] = key in result ? [].concat(result[key], value) : value;
            }
            return result;
        },
        stringify(object, separator = '&', equals = '=') {
            return Object.keys(object).flatMap((key) => [].concat(object[key]).map((value) =>
                querystring.escape(key) + equals + querystring.escape(String(value)))).join(separator);
        }
    };
    querystring.decode = querystring.parse;
    querystring.encode = querystring.stringify;

    // === cloudfront ===
    const notEmulated = (name) => () => {
        throw new Error('cf.' + name + ' is not emulated');
    };
    const cloudfront = {
        edgeLocation: JSON.parse(host.edgeLocation),
        logCustomData: (text) => host.log(String(text)),
        kvs: notEmulated('kvs'),
        updateRequestOrigin: notEmulated('updateRequestOrigin'),
        selectRequestOriginById: notEmulated('selectRequestOriginById'),
        createRequestOriginGroup: notEmulated('createRequestOriginGroup')
    };

    // === globals ===
    const modules = { buffer: { Buffer }, cloudfront, crypto, querystring };
    global.require = (name) => {
        if (!Object.hasOwn(modules, name)) {
            throw new Error('Cannot find module "' + name + '"');
        }
        return modules[name];
    };
    global.Buffer = Buffer;
    global.console = { log: (...values) => host.console(values.map(String).join(' ')) };
    global.console.error = global.console.log;

    // === no code from text ===
    const refuse = function Function() {
        throw new EvalError('Code generation from strings is not allowed');
    };
    for (const sample of [function () {}, async function () {}, function* () {}, async function* () {}]) {
        Object.defineProperty(Object.getPrototypeOf(sample), 'constructor', { value: refuse });
    }
    refuse.prototype = Object.getPrototypeOf(function () {});
    global.Function = refuse;
    delete global.eval;

    // The handler's caller: from the event's text to the result's text.
    return async function invoke(handler, eventText, query) {
        const event = JSON.parse(eventText);
        Object.defineProperty(event.request, 'rawQueryString', { value: () => query });
        return JSON.stringify(await handler(event));
    };
})
