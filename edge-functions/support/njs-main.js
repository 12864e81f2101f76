// The viewer-request function under njs: the engine whose features CloudFront's runtime resembles most.
import fs from 'fs';
import fuzz from 'fuzz.js';
import loaded from 'viewer-request.js';
import options from 'options.js';
import response from 'viewer-response.js';
import vectors from 'vectors.js';

var failures = [];
vectors.files.forEach(function (name) {
    var file = JSON.parse(fs.readFileSync(process.env.TESTDATA + '/' + name, 'utf8'));
    failures = failures.concat(vectors.check(loaded, name, file));
});
var xray = JSON.parse(fs.readFileSync(process.env.TESTDATA + '/xray.json', 'utf8'));
failures = failures.concat(options.check(loaded, response, xray));
failures = failures.concat(fuzz.check(loaded, 5000, 2));
failures.forEach(function (failure) { console.log(failure); });
console.log(failures.length === 0 ? 'njs: all vectors and fuzzed events passed' : 'njs: ' + failures.length + ' failed');
