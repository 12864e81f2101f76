// Lays the function out as an engine finds it: the very file, plus one line that hands it to the tests.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));

export const source = path.join(here, '../src/viewer-request.js');
export const testdata = path.join(here, '../../testdata/propagation');

const HAND_OVER = `
export default { handler: handler, calls: cf.calls, configure: function (settings) { SETTINGS = settings; } };
`;

/** Makes a folder with the function, the module it imports and the engine-neutral checks; returns its path. */
export function stage() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'edge-functions-'));
    fs.writeFileSync(path.join(folder, 'package.json'), '{"type": "module"}');
    fs.writeFileSync(path.join(folder, 'viewer-request.js'), fs.readFileSync(source, 'utf8') + HAND_OVER);
    for (const name of ['cloudfront.js', 'vectors.js', 'fuzz.js']) {
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
