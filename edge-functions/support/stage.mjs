// Lays the functions out as an engine finds them: the very files, put together as `rootspan edge build` does, plus one line
// that hands them to the tests.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));

export const source = path.join(here, '../src/viewer-request.js');
export const testdata = path.join(here, '../../testdata/propagation');
export const cloudfrontTestdata = path.join(here, '../../testdata/cloudfront');

const HAND_OVER = {
    'viewer-request.js': 'export default { handler: handler, rootspan: rootspan, calls: cf.calls, configure: function (settings) { SETTINGS = settings; } };',
    'viewer-response.js': 'export default { handler: handler, configure: function (settings) { SETTINGS = settings; } };',
    'lambda-edge.mjs': `export default {
        viewerRequest: handleViewerRequest, originRequest: handleOriginRequest, originResponse: handleOriginResponse,
        configure: function (settings, lambda) { SETTINGS = settings; LAMBDA = lambda; }
    };`
};

function read(name) {
    return fs.readFileSync(path.join(here, '../src', name), 'utf8');
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

/** Makes a folder with the functions, the module they import and the engine-neutral checks; returns its path. */
export function stage() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'edge-functions-'));
    fs.writeFileSync(path.join(folder, 'package.json'), '{"type": "module"}');
    const put = (name, code) => fs.writeFileSync(path.join(folder, name), `${code}\n${HAND_OVER[name]}\n`);
    put('viewer-request.js', read('viewer-request.js'));
    put('viewer-response.js', read('viewer-response.js'));
    put('lambda-edge.mjs', without(read('viewer-request.js'), ['standalone', 'cloudfront']) + read('lambda-edge.js'));
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
