use super::*;

fn request(id: u8, path: &str, origin_asked: bool, sampled: bool) -> Request {
    Request {
        request_id: format!("request-{id}"),
        trace_id: TraceId::new([id; 16]),
        method: "GET".to_owned(),
        path: path.to_owned(),
        sampled,
        origin_asked,
        outcome: Outcome { status: 200, result: "Miss".to_owned() },
    }
}

fn trace(services: &[&str], roots: &[&str], database_spans: usize) -> Trace {
    Trace {
        roots: roots.iter().map(ToString::to_string).collect(),
        services: services.iter().map(ToString::to_string).collect(),
        database_spans,
        cdn: Some((Outcome { status: 200, result: "Miss".to_owned() }, false)),
        ..Trace::default()
    }
}

#[test]
fn the_cdns_span_must_say_how_the_request_ended() {
    let mut left = request(1, "/payments/1", true, true);
    left.outcome = Outcome { status: 0, result: "Error".to_owned() };
    let mut traces = BTreeMap::from([(left.trace_id, trace(&[CDN], &[CDN], 0))]);
    let report = compare(std::slice::from_ref(&left), &traces, false);
    assert!(report.problems[0].contains("but its span says"), "{report}");
    for trace in traces.values_mut() {
        trace.cdn = Some((left.outcome.clone(), true));
    }
    let report = compare(&[left], &traces, false);
    assert!(report.agrees() && report.to_string().contains("1  Error 000"), "{report}");
}

#[test]
fn a_hit_is_the_cdn_alone_and_a_miss_is_not() {
    let requests = [request(1, "/assets/app-1.js", true, true), request(2, "/assets/app-1.js", false, true)];
    let traces = BTreeMap::from([
        (TraceId::new([1; 16]), trace(&[CDN, "upstream"], &[CDN], 0)),
        (TraceId::new([2; 16]), trace(&[CDN], &[CDN], 0)),
    ]);
    let report = compare(&requests, &traces, false);
    assert!(report.agrees(), "{report}");
    assert_eq!(report.agreeing, 2);
}

#[test]
fn every_kind_of_disagreement_is_named() {
    let requests = [
        request(1, "/assets/app-1.js", true, true),
        request(2, "/products/20", true, true),
        request(3, "/products/20", true, false),
        request(4, "/reports/daily", true, true),
        request(5, "/assets/app-1.js", false, true),
    ];
    let traces = BTreeMap::from([
        (TraceId::new([2; 16]), trace(&[CDN, "upstream"], &[CDN], 0)),
        (TraceId::new([3; 16]), trace(&[CDN], &[CDN], 0)),
        (TraceId::new([4; 16]), trace(&[CDN, "downstream", "upstream"], &[CDN], 0)),
        (TraceId::new([5; 16]), trace(&[CDN], &[CDN, "upstream"], 0)),
        (TraceId::new([9; 16]), trace(&[CDN], &[CDN], 0)),
    ]);
    let report = compare(&requests, &traces, false);
    assert_eq!(report.problems.len(), 6, "{report}");
    for words in
        ["has no trace", "has spans of", "was not sampled", "no span of the database", "roots", "belongs to no"]
    {
        assert!(report.problems.iter().any(|problem| problem.contains(words)), "{words}: {report}");
    }
}

#[test]
fn the_way_through_nginx_is_looked_at() {
    let requests = [request(1, "/retried/missing.css", true, true)];
    let good = Trace {
        edges: ["nginx server < cloudfront server", "nginx client < nginx server", "upstream server < nginx client"]
            .map(str::to_owned)
            .into(),
        nginx_tries: vec!["connect_failed".to_owned(), "404".to_owned()],
        ..trace(&[CDN, NGINX, "upstream"], &[CDN], 0)
    };
    let agrees =
        |trace: &Trace| compare(&requests, &BTreeMap::from([(TraceId::new([1; 16]), trace.clone())]), true).agrees();
    assert!(agrees(&good));
    assert!(!agrees(&Trace { nginx_tries: vec!["404".to_owned()], ..good.clone() }));
    let mut shortcut = good.clone();
    shortcut.edges.insert("upstream server < cloudfront server".to_owned());
    assert!(!agrees(&shortcut));
    assert!(!agrees(&trace(&[CDN, "upstream"], &[CDN], 0)));
}
