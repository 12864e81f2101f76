use super::*;
use crate::emulator::delivery::{Delivery, Destination, Mishaps, Packing};
use crate::emulator::{LogForm, V2Format};

fn with(variables: &[(&str, &str)], text: &str) -> Result<DistributionFile, Vec<Problem>> {
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    read(text, &variable)
}

fn config(text: &str) -> Config {
    with(&[], text).unwrap_or_else(|problems| panic!("{problems:?}")).config
}

/// Every problem as it is printed.
fn problems(text: &str) -> Vec<String> {
    with(&[], text).expect_err("there are problems").iter().map(ToString::to_string).collect()
}

#[test]
fn an_empty_file_gives_the_defaults() {
    for text in ["", "# nothing\n", "origin: http://127.0.0.1:1\n"] {
        let config = config(text);
        let expected = Config { origin: config.origin.clone(), ..Config::default() };
        assert_eq!(format!("{config:?}"), format!("{expected:?}"), "{text}");
    }
}

/// The documented example has every key, and says what the defaults are.
#[test]
fn the_example_is_read() {
    let text = include_str!("../../../../../docs/examples/distribution.yaml");
    let variables = [("FIREHOSE_ACCESS_KEY", "key"), ("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let file = with(&variables, text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut config = file.config;
    let named: Vec<_> = file.functions.iter().map(|function| (function.event, function.path.to_str())).collect();
    assert_eq!(
        named,
        [
            (EventType::ViewerRequest, Some("edge/viewer-request.js")),
            (EventType::OriginRequest, Some("edge/origin-request.mjs")),
            (EventType::OriginResponse, Some("edge/origin-response.mjs")),
        ]
    );
    let (behaviors, logs) = (std::mem::take(&mut config.behaviors), std::mem::take(&mut config.deliveries));
    assert_eq!(config.error_pages.len() + config.waf.len(), 4);
    let defaults = Config {
        listen: "127.0.0.1:8080".parse().expect("an address"),
        origin: "http://127.0.0.1:8081".to_owned(),
        behaviors: Vec::new(),
        error_pages: config.error_pages.clone(),
        waf: config.waf.clone(),
        ..Config::default()
    };
    assert_eq!(format!("{config:?}"), format!("{defaults:?}"), "the comments say what the defaults are");

    assert_eq!(behaviors[0].viewer_protocol, ViewerProtocol::RedirectToHttps);
    assert_eq!((behaviors[0].cache.clone(), behaviors[0].runs_functions), (CachePolicy::optimized(), false));
    assert_eq!(behaviors[1].origin_request.headers, Selection::listed(&["traceparent", "tracestate"]));
    assert_eq!(behaviors[1].origin_request.cookies, Selection::AllExcept(vec!["session".to_owned()]));
    assert_eq!(behaviors[1].failover.as_ref().map(|failover| failover.statuses.len()), Some(4));

    let firehose = Delivery {
        common_attributes: vec![("deployment.environment.name".to_owned(), "test".to_owned())],
        ..Delivery::to_endpoint("http://127.0.0.1:4433/", "key")
    };
    assert_eq!(format!("{:?}", logs[0]), format!("{firehose:?}"));
    assert!(matches!((&logs[1].form, &logs[1].destination), (LogForm::StandardV1, Destination::Folder(_))));
    assert!(matches!(&logs[2].destination, Destination::Bucket(bucket) if bucket.secret_access_key == "secret"));
    for key in KEYS {
        assert!(text.contains(&format!("{key}:")), "{key} is in the example");
    }
}

#[test]
fn a_log_is_what_the_file_says() {
    let log = &config(
        "logs: [{form: v2-w3c, fields: [date, time, sc-status], folder: /logs, packing: joined-envelopes, gzip: false, delay: 90m, repeats: 2, shuffle: true, max_bytes: 64KiB, interval: 250ms}]",
    )
    .deliveries[0];
    let fields = ["date", "time", "sc-status"].map(str::to_owned).to_vec();
    assert_eq!(log.form, LogForm::StandardV2 { format: V2Format::W3c, fields });
    assert_eq!((log.packing, log.gzip), (Packing::Envelopes { joined: true }, false));
    assert_eq!(log.mishaps, Mishaps { delay: Duration::from_secs(5400), repeats: 2, shuffle: true });
    assert_eq!((log.max_bytes, log.interval), (65_536, Duration::from_millis(250)));
    let functions = &config("logs: [{form: functions, folder: /logs}]").deliveries[0];
    assert_eq!(functions.packing, Packing::Envelopes { joined: false }, "CloudWatch is their only way out");
}

#[test]
fn problems_are_all_told_with_their_place() {
    let text = "\
orgin: http://127.0.0.1:1
listen: nowhere
function_time_limit: 2 seconds
behaviors:
  - path_pattern: '*'
    viewer_protocol: maybe
    cache: perhaps
  - {path_pattern: /a, origin_request: {headers: some}, failover: {statuses: [5000]}}
  - {origin: x}
error_pages: [{page: x}]
waf: [{header: a}, {}]
logs:
  - {form: v3}
  - {form: v1, fields: [date], folder: /a, access_key: k}
  - {form: v2-json, fields: [nonsense], bucket: b}
  - {form: v2-json, firehose: 'http://127.0.0.1:1', access_key: '${env:NOT_THERE}'}
  - {form: v2-json, firehose: 'http://127.0.0.1:1', folder: /a}
seed: 1
seed: 2
";
    let found = problems(text);
    let expected = [
        "1:1: unknown key \"orgin\"",
        "2:9: listen must be an address with a port",
        "3:22: function_time_limit must be a duration",
        "6:22: viewer_protocol must be one of allow-all, redirect-to-https, https-only",
        "7:12: cache must be optimized, disabled, or a mapping",
        "8:5: this behavior is never reached",
        "8:50: headers must be none, all, a list of names",
        "8:67: failover needs an origin",
        "8:79: a status is a number from 100 to 599",
        "9:5: a behavior needs a path_pattern",
        "9:5: this behavior is never reached",
        "10:15: an error page needs the status",
        "10:22: page must be a path of this distribution",
        "11:7: header and contains belong together",
        "11:7: a rule of waf needs",
        "11:20: a rule of waf needs",
        "13:5: a log goes to one of firehose, folder, bucket",
        "13:12: no log is called \"v3\"",
        "14:24: the fields of this log cannot be chosen",
        "14:56: access_key is of no use here",
        "15:5: a bucket needs endpoint",
        "15:5: a bucket needs access_key_id",
        "15:5: a bucket needs secret_access_key",
        "15:29: \"nonsense\" is no field of standard logs",
        "16:65: the environment has no NOT_THERE",
        "17:5: a log goes to one of firehose, folder, bucket",
        "17:5: firehose needs an access_key",
        "19:1: seed is given twice",
    ];
    for (index, expected) in expected.iter().enumerate() {
        let found = found.get(index).map_or("nothing", String::as_str);
        assert!(found.starts_with(expected), "expected {expected}, found {found}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    assert!(problems("[1]")[0].starts_with("1:1: a distribution must be a mapping"));
    assert_eq!(problems("a: [").len(), 1, "no YAML");
}
