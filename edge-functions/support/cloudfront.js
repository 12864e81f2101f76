// Stands in for CloudFront's module: remembers what was logged.
var calls = [];

export default {
    calls: calls,
    logCustomData: function (text) {
        calls.push(text);
    },
    edgeLocation: { name: 'FRA', serverIp: '192.0.2.1', region: 'eu-central-1' }
};
