// Runs one Lambda@Edge function in this process, as an environment of Lambda does: one invocation after another, until
// standard input ends. The first line of input has the code, every other one an invocation; each is answered by a line.
import { createRequire, Module } from 'node:module';
import readline from 'node:readline';
import { format } from 'node:util';

const answer = process.stdout.write.bind(process.stdout);
const say = (message) => answer(`${JSON.stringify(message)}\n`);

let logs = [];
let invocationId = '';
const log = (level, text) => logs.push([Date.now(), `${new Date().toISOString()}\t${invocationId}\t${level}\t${text}`]);
for (const [method, level] of [['log', 'INFO'], ['info', 'INFO'], ['debug', 'DEBUG'], ['trace', 'TRACE'], ['warn', 'WARN'], ['error', 'ERROR']]) {
    console[method] = (...values) => log(level, format(...values));
}
// What is written around the console is logged too: standard output belongs to the answers.
for (const stream of [process.stdout, process.stderr]) {
    stream.write = (text) => {
        logs.push([Date.now(), String(text).replace(/\n$/, '')]);
        return true;
    };
}

async function load({ code, kind }) {
    if (kind === 'module') {
        // An ES module may still ask for `require`, as bundles do.
        globalThis.require = createRequire('file:///var/task/index.mjs');
        return import(`data:text/javascript;base64,${Buffer.from(code).toString('base64')}`);
    }
    const module = new Module('/var/task/index.js');
    module.filename = '/var/task/index.js';
    module.paths = [];
    module._compile(code, module.filename);
    return module.exports;
}

const failure = (error) => ({
    type: error && error.name ? String(error.name) : typeof error,
    message: error && error.message ? String(error.message) : String(error),
    stack: error && error.stack ? String(error.stack) : ''
});

function invoke(handler, { id, event, deadline }) {
    const context = {
        awsRequestId: id,
        functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
        functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
        memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
        callbackWaitsForEmptyEventLoop: true,
        getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now())
    };
    return new Promise((resolve, reject) => {
        // Handlers with a callback are of Node.js 22 and before.
        const returned = handler(event, context, (error, result) => (error ? reject(error) : resolve(result)));
        if (returned && typeof returned.then === 'function') {
            returned.then(resolve, reject);
        } else if (handler.length < 3) {
            resolve(returned);
        }
    });
}

const lines = readline.createInterface({ input: process.stdin, terminal: false })[Symbol.asyncIterator]();
let handler;
try {
    const loaded = await load(JSON.parse((await lines.next()).value));
    handler = loaded.handler ?? loaded.default?.handler;
    if (typeof handler !== 'function') {
        throw new Error('index.handler is undefined or not exported');
    }
    say({ ready: process.version, logs });
} catch (error) {
    say({ error: failure(error), logs });
    process.exit(1);
}
for await (const line of lines) {
    const invocation = JSON.parse(line);
    logs = [];
    invocationId = invocation.id;
    let outcome;
    try {
        const result = await invoke(handler, invocation);
        outcome = { result: result === undefined ? null : result };
    } catch (error) {
        log('ERROR', `Invoke Error\t${JSON.stringify(failure(error))}`);
        outcome = { error: failure(error) };
    }
    say({ id: invocation.id, ...outcome, logs });
}
process.exit(0);
