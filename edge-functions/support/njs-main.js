// The functions under njs, the engine whose features CloudFront's runtime resembles most. `CHECKS` says which checks:
// `all` of functions that take any settings, `console`, or those of a function that keeps its own (`VECTORS` is a file of theirs).
import fs from 'fs';
import fuzz from 'fuzz.js';
import loaded from 'viewer-request.js';
import other from 'other.js';
import options from 'options.js';
import vectors from 'vectors.js';

var failures = [];

function read(path) {
    return JSON.parse(fs.readFileSync(path, 'utf8'));
}

if (process.env.CHECKS === 'all') {
    vectors.files.forEach(function (name) {
        failures = failures.concat(vectors.check(loaded, name, read(process.env.TESTDATA + '/' + name)));
    });
    failures = failures.concat(options.check(loaded, other, read(process.env.TESTDATA + '/xray.json')));
    failures = failures.concat(fuzz.check(loaded, 5000, 2));
    failures = failures.concat(fuzz.checkResponse(other, 5000, 2));
} else if (process.env.CHECKS === 'console') {
    failures = failures.concat(options.checkConsole(loaded));
} else {
    failures = failures.concat(vectors.check(loaded, 'viewer-request.json', { vectors: read(process.env.VECTORS) }));
    failures = failures.concat(fuzz.check(loaded, 1000, 3));
    failures = failures.concat(vectors.checkComposed(other));
}
failures.forEach(function (failure) { console.log(failure); });
console.log(failures.length === 0 ? 'njs: all vectors and fuzzed events passed' : 'njs: ' + failures.length + ' failed');
