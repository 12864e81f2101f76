use crate::config::{Source, load_with};

fn problems(receiver: &str) -> String {
    let text = format!(
        "receivers: {{nginxlog: {receiver}}}\nexporters: {{debug: }}\n\
         service: {{pipelines: {{traces: {{receivers: [nginxlog], exporters: [debug]}}}}}}"
    );
    let loaded = load_with(&[Source::Text { name: "test".to_owned(), text }], &|_| None);
    loaded.map_or_else(|problems| problems.to_string(), |_| String::new())
}

#[test]
fn something_must_be_read() {
    assert_eq!(problems("{include: [/var/log/nginx/rootspan.log]}"), "");
    assert_eq!(problems("{syslog: {udp: '127.0.0.1:5140'}}"), "");
    for nothing in ["{}", "{include: []}", "{syslog: {}}"] {
        assert!(problems(nothing).contains("needs `include` (files), or `syslog` with `udp` or `unix`"), "{nothing}");
    }
    assert!(problems("{include: [a], start_at: middle}").contains("beginning, end"));
}
