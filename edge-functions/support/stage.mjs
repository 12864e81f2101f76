// Lays the functions out as an engine finds them: the files that `rootspan edge build` writes, or the sources put together
// as it does, plus one line that hands them to the tests.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '../..');

export const testdata = path.join(root, 'testdata/propagation');
export const cloudfrontTestdata = path.join(root, 'testdata/cloudfront');

/** The settings files of the tests; `everything` has every section, so that its functions can play any settings. */
export const settingsFiles = ['empty', 'everything', 'console'].map((name) => path.join(here, `../test/settings/${name}.yaml`));
export const [EMPTY, EVERYTHING, CONSOLE] = settingsFiles;

const CONFIGURE = 'configure: function (settings) { SETTINGS = settings; }';
const HAND_OVER = {
    'viewer-request.js': `export default { handler: handler, rootspan: rootspan, calls: cf.calls, ${CONFIGURE} };`,
    'viewer-response.js': `export default { handler: handler, ${CONFIGURE} };`,
    'lambda-edge.mjs': `export default {
        viewerRequest: handleViewerRequest, originRequest: handleOriginRequest, originResponse: handleOriginResponse,
        configure: function (settings, lambda) { SETTINGS = settings; LAMBDA = lambda; }
    };`
};
/** The same for functions that keep the settings they were built with. */
const HAND_OVER_AS_IT_IS = `export default {
    handler: handler, rootspan: rootspan, calls: typeof cf === 'undefined' ? [] : cf.calls, configure: function () {}
};`;
const HAND_OVER_LAMBDA = 'export function configure(settings, lambda) { SETTINGS = settings; LAMBDA = lambda; }';

/** A function that exists already, with the module pasted in; it has names of its own, as short as the module's. */
const COMPOSED = `import cf from 'cloudfront';
var a = 'a', b = 'b', c = 'c', d = 'd', crypto = 'mine';
MODULE
function handler(event) {
    cf.logCustomData('variant=' + a + b + c + d + crypto + ';' + rootspan(event));
    return event.request;
}
export default { handler: handler, calls: cf.calls, configure: function () {} };`;

function read(name) {
    return fs.readFileSync(path.join(here, '../src', name), 'utf8');
}

/** The rules of the viewer-request function, as the build puts them together. */
function rules() {
    return ['viewer-request.js', 'trace-context.js'].map(read).join('\n');
}

/** Without the sections that are only for what is in `names`; sections may be nested. */
function without(code, names) {
    const kept = [];
    const open = [];
    for (const line of code.split('\n')) {
        const begin = /^\s*\/\/ rootspan:if (\S+)$/.exec(line);
        if (begin) {
            open.push(begin[1]);
        } else if (/^\s*\/\/ rootspan:end$/.test(line)) {
            open.pop();
        } else if (!open.some((name) => names.includes(name))) {
            kept.push(line);
        }
    }
    return kept.join('\n');
}

/** Runs `rootspan edge build` and returns the folder that it wrote. */
export function build(settings, ...options) {
    const rootspan = process.env.ROOTSPAN ?? path.join(root, 'target/debug/rootspan');
    assert.ok(fs.existsSync(rootspan), `${rootspan} is not there: run \`cargo xtask test edge\`, or set ROOTSPAN to the program`);
    const folder = temporary();
    const run = spawnSync(rootspan, ['edge', 'build', '--settings', settings, '--out', folder, ...options], { encoding: 'utf8' });
    assert.equal(run.status, 0, run.stdout + run.stderr);
    return folder;
}

/** A folder that goes away with the process: modules of it may be loaded at any time until then. */
function temporary() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'edge-functions-'));
    process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
    return folder;
}

process.setMaxListeners(100);

/** Makes a folder with the sources, the module they import and the engine-neutral checks; returns its path. */
export function stage() {
    const folder = temporary();
    const put = (name, code) => fs.writeFileSync(path.join(folder, name), `${code}\n${HAND_OVER[name]}\n`);
    put('viewer-request.js', rules());
    put('viewer-response.js', read('viewer-response.js'));
    put('lambda-edge.mjs', without(rules(), ['standalone', 'cloudfront']) + read('lambda-edge.js'));
    return furnish(folder);
}

/** The same with what `rootspan edge build` makes of everything.yaml: minified, or as it is with `--readable`. */
export function stageBuilt(...options) {
    const folder = build(EVERYTHING, ...options);
    const append = (name, line) => fs.appendFileSync(path.join(folder, name), `\n${line}\n`);
    append('viewer-request.js', HAND_OVER['viewer-request.js']);
    append('viewer-response.js', HAND_OVER['viewer-response.js']);
    // The files that are deployed, as one object; each has the settings for itself.
    const lambda = ['viewer-request', 'origin-request', 'origin-response', 'lambda-edge.module'];
    lambda.forEach((name) => append(`${name}.mjs`, HAND_OVER_LAMBDA));
    const imports = lambda.map((name, index) => `import * as f${index} from './${name}.mjs';`);
    fs.writeFileSync(path.join(folder, 'lambda-edge.mjs'), `${imports.join('\n')}
        export default {
            viewerRequest: f0.handler, originRequest: f1.handler, originResponse: f2.handler,
            configure: (settings, lambda) => [f0, f1, f2, f3].forEach((file) => file.configure(settings, lambda))
        };
        export * from './lambda-edge.module.mjs';\n`);
    return furnish(folder);
}

/** A folder with the viewer-request function of these settings, which stay what they are, and one with the module. */
export function stageAsItIs(settings) {
    const folder = build(settings);
    const module = fs.readFileSync(path.join(folder, 'viewer-request.module.js'), 'utf8');
    fs.writeFileSync(path.join(folder, 'composed.js'), COMPOSED.replace('MODULE', () => module));
    fs.appendFileSync(path.join(folder, 'viewer-request.js'), `\n${HAND_OVER_AS_IT_IS}\n`);
    return furnish(folder);
}

/** The settings of the vectors of whole decisions, each with its vectors: a list of `{settings: file, vectors: [...]}`. */
export function decisions() {
    const { vectors } = JSON.parse(fs.readFileSync(path.join(testdata, 'viewer-request.json'), 'utf8'));
    const bySettings = new Map();
    for (const vector of vectors) {
        const key = JSON.stringify(vector.settings);
        bySettings.set(key, [...(bySettings.get(key) ?? []), vector]);
    }
    const folder = temporary();
    return [...bySettings].map(([settings, own], index) => {
        const file = path.join(folder, `${index}.yaml`);
        // JSON is YAML.
        fs.writeFileSync(file, settings);
        return { settings: file, vectors: own };
    });
}

/** Adds the module that the functions import, and the checks. */
function furnish(folder) {
    fs.writeFileSync(path.join(folder, 'package.json'), '{"type": "module"}');
    for (const name of ['cloudfront.js', 'vectors.js', 'fuzz.js', 'options.js']) {
        fs.copyFileSync(path.join(here, name), path.join(folder, name));
        // Node finds bare names as packages, njs as files of exactly that name in its search path.
        const pkg = path.join(folder, 'node_modules', name === 'cloudfront.js' ? 'cloudfront' : name);
        fs.mkdirSync(pkg, { recursive: true });
        fs.writeFileSync(path.join(pkg, 'package.json'), '{"type": "module", "exports": "./index.js"}');
        fs.writeFileSync(path.join(pkg, 'index.js'), `export { default } from '../../${name}';\n`);
    }
    fs.copyFileSync(path.join(folder, 'cloudfront.js'), path.join(folder, 'cloudfront'));
    return folder;
}
