use super::*;

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn exporter(lines: &[&str]) -> Result<ExporterConfig, String> {
    let mut exporter = ExporterConfig::default();
    lines.iter().try_for_each(|line| exporter.line(&words(line)))?;
    exporter.complete(Path::new("/nowhere")).map(|()| exporter)
}

#[test]
fn the_exporters_defaults_are_those_of_nginxs_own_module() {
    let exporter = exporter(&["endpoint collector"]).expect("valid");
    assert_eq!(exporter.interval, Duration::from_secs(5));
    assert_eq!((exporter.batch_size, exporter.batch_count), (512, 4));
    assert_eq!(exporter.endpoint.authority, "collector:4317");
    assert_eq!((exporter.endpoint.path, exporter.endpoint.uses_tls), (None, false));
}

#[test]
fn the_exporters_lines() {
    let exporter = exporter(&[
        "endpoint http://[::1]/other/path",
        "interval 200ms",
        "batch_size 10",
        "batch_count 3",
        "header X-Token secret",
    ])
    .expect("valid");
    assert_eq!(
        (exporter.endpoint.authority.as_str(), exporter.endpoint.path.as_deref()),
        ("[::1]:80", Some("/other/path"))
    );
    assert_eq!((exporter.interval, exporter.batch_size), (Duration::from_millis(200), 10));
    assert_eq!(exporter.headers, [("X-Token".to_owned(), "secret".to_owned())]);
}

#[test]
fn a_path_makes_it_http_and_its_absence_grpc() {
    let parsed = |text: &str| {
        let endpoint = Endpoint::parse(text).expect(text);
        (endpoint.authority.clone(), endpoint.host().to_owned(), endpoint.path.clone(), endpoint.uses_tls)
    };
    let expected = |authority: &str, host: &str, path: Option<&str>, uses_tls| {
        (authority.to_owned(), host.to_owned(), path.map(str::to_owned), uses_tls)
    };
    assert_eq!(parsed("localhost:4317"), expected("localhost:4317", "localhost", None, false));
    assert_eq!(parsed("http://c:1/"), expected("c:1", "c", None, false));
    assert_eq!(parsed("https://c:1"), expected("c:1", "c", None, true));
    assert_eq!(parsed("https://[::1]:2/v1/traces"), expected("[::1]:2", "::1", Some("/v1/traces"), true));
    assert_eq!(parsed("https://c/x"), expected("c:443", "c", Some("/x"), true));
}

#[test]
fn what_is_wrong_is_said() {
    let message = |line: &str| exporter(&["endpoint http://c:1", line]).expect_err(line);
    for (line, expected) in [
        ("endpoint http://", "invalid endpoint \"http://\""),
        ("endpoint http://a@b/", "invalid endpoint \"http://a@b/\""),
        ("interval soon", "invalid interval \"soon\""),
        ("interval 5d", "invalid interval \"5d\""),
        ("batch_size 0", "invalid number \"0\""),
        ("batch_count -1", "invalid number \"-1\""),
        ("batch_count 1000000", "batch_size times batch_count is more than 1048576"),
        ("header a", "unknown or incomplete directive \"header\" in otel_exporter"),
        ("header a:b c", "invalid header \"a:b\""),
        ("endpont x", "unknown or incomplete directive \"endpont\" in otel_exporter"),
    ] {
        assert_eq!(message(line), expected);
    }
    let no_file = exporter(&["endpoint https://c", "trusted_certificate ca.pem"]).expect_err("no such file");
    assert!(no_file.starts_with("cannot read \"/nowhere/ca.pem\""), "{no_file}");
    assert_eq!(exporter(&["interval 1s"]).expect_err("no endpoint"), "requires \"endpoint\"");
}

#[test]
fn shares() {
    let part = |percent: f64| Share::Part(Threshold::from_probability(percent / 100.0).expect("a threshold"));
    for (text, expected) in [
        ("on", Share::Everything),
        ("1", Share::Everything),
        ("off", Share::Nothing),
        ("0", Share::Nothing),
        ("", Share::Nothing),
        ("yes", Share::Nothing),
        ("10%", part(10.0)),
        ("0.5%", part(0.5)),
        ("100%", Share::Part(Threshold::ALWAYS)),
        ("0%", Share::Nothing),
        ("-1%", Share::Nothing),
        ("%", Share::Nothing),
        ("nan%", Share::Nothing),
    ] {
        assert_eq!(Share::parse(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn a_level_takes_over_what_it_does_not_say() {
    let no_variables: Compile<'_> = &|_| Err("no variables here".to_owned());
    let mut outer = LocationConfig::default();
    trace(&mut outer, &words("otel_trace on"), no_variables).expect("valid");
    trace_context(&mut outer, &words("otel_trace_context propagate"), no_variables).expect("valid");
    span_attribute(&mut outer, &words("otel_span_attr a 1"), no_variables).expect("valid");
    let mut inner = LocationConfig::default();
    trace(&mut inner, &words("otel_trace off"), no_variables).expect("valid");
    inner.inherit(&outer);
    assert!(matches!(inner.trace, Some(TraceSetting { rate: Rate::Fixed(Share::Nothing), .. })));
    assert_eq!(inner.context_mode, Some(ContextMode::Propagate));
    assert_eq!(inner.span_attributes.as_deref().map(Vec::len), Some(1));
    let mut own = LocationConfig::default();
    span_attribute(&mut own, &words("otel_span_attr b 2"), no_variables).expect("valid");
    own.inherit(&outer);
    let keys: Vec<_> = own.span_attributes.iter().flat_map(|list| list.iter()).map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["b"], "lists are replaced, not joined");
}

#[test]
fn directives_refuse_what_they_do_not_know() {
    let no_variables: Compile<'_> = &|_| Err("no variables here".to_owned());
    let refuse = |apply: fn(&mut LocationConfig, &[String], Compile<'_>) -> Result<(), String>, line: &str| {
        apply(&mut LocationConfig::default(), &words(line), no_variables).expect_err(line)
    };
    assert!(refuse(trace, "otel_trace maybe").starts_with("has the value \"maybe\""));
    assert!(refuse(trace, "otel_trace on child").contains("\"child\""));
    assert!(refuse(trace_context, "otel_trace_context both").contains("\"both\""));
    assert!(refuse(propagators, "otel_propagators tracecontext jaeger").contains("\"jaeger\""));
    assert!(refuse(client_span, "otel_client_span yes").contains("\"yes\""));
    let mut twice = LocationConfig::default();
    trace(&mut twice, &words("otel_trace on"), no_variables).expect("valid");
    assert_eq!(trace(&mut twice, &words("otel_trace on"), no_variables), Err("is duplicate".to_owned()));
}
