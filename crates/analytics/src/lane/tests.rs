use rootspan_testkit::fixture;
use rootspan_wire::otlp::json::read_request;
use rootspan_wire::otlp::validate::Limits;

use super::*;
use crate::critical_path::critical_path;
use crate::tree::{Flags, Tree};

#[test]
fn conventions_decide() {
    for (line, lane, reason) in [
        ("cdn GET 0ms 1ms server edge", Lane::Cdn, LaneReason::CloudFrontScope),
        ("cloudfront GET 0ms 1ms server", Lane::Cdn, LaneReason::CloudFrontService),
        ("nginx GET 0ms 1ms server", Lane::Proxy, LaneReason::ProxyName),
        ("api SELECT 0ms 1ms client db=sqlite", Lane::Database, LaneReason::DatabaseSystem),
        ("api SELECT 0ms 1ms internal db.system=sqlite", Lane::Database, LaneReason::DatabaseSystem),
        ("api GET 0ms 1ms server db=sqlite", Lane::Service, LaneReason::Default),
        ("api send 0ms 1ms producer", Lane::Queue, LaneReason::ProducerKind),
        ("api send 0ms 1ms client messaging=kafka", Lane::Queue, LaneReason::MessagingSystem),
        (
            "api poll 0ms 1ms consumer messaging=kafka messaging.operation.type=receive",
            Lane::Queue,
            LaneReason::MessagingSystem,
        ),
        (
            "api process 0ms 1ms consumer messaging=kafka messaging.operation.type=process",
            Lane::Service,
            LaneReason::Default,
        ),
        ("api GET 0ms 1ms client", Lane::External, LaneReason::ClientLeaf),
        ("api work 0ms 1ms internal", Lane::Service, LaneReason::Default),
    ] {
        let batch = fixture::batch(line);
        let tree = Tree::build(&batch);
        assert_eq!((tree.node(0).lane, tree.node(0).lane_reason), (lane, reason), "{line}");
    }
}

/// What nginx's own module and opentelemetry-cpp-contrib's send, with the names of older conventions and without CLIENT spans.
#[test]
fn other_modules_for_nginx_are_proxies_too() {
    for (module, text, name) in [
        ("ngx_otel_module", include_str!("../../../../testdata/nginx/ngx-otel-module.json"), "/api/"),
        ("otel_ngx_module", include_str!("../../../../testdata/nginx/opentelemetry-cpp-contrib.json"), "edge proxy"),
    ] {
        let read = read_request(text.as_bytes(), &Limits::default()).expect("the spans are valid");
        let tree = Tree::build(&read.batch);
        let rows: Vec<_> = (0..3).map(|row| (tree.node(row).lane, tree.node(row).name)).collect();
        assert_eq!(
            rows,
            [(Lane::Cdn, "GET /api/*"), (Lane::Proxy, name), (Lane::Service, "GET /api/items")],
            "{module}"
        );
        assert_eq!(tree.node(1).lane_reason, LaneReason::ProxyName, "{module}");
        assert!(
            (0..3).all(|row| tree.node(row).flags.contains(Flags::ERROR)),
            "{module}: 502 is an error in all of them"
        );
        // The failure is the service's, not that of nginx, which passed it on.
        assert_eq!(crate::failure::origin(&tree), Some(2), "{module}");
        // Between nginx's span and the service's is the way from one to the other.
        let [path] = &critical_path(&tree)[..] else { panic!("{module}: one entry") };
        let total: i128 = path.segments.iter().map(|segment| segment.end - segment.start).sum();
        assert_eq!(total, 120_000_000, "{module}");
        assert!(path.segments.iter().any(|segment| segment.row == 1), "{module}: nginx's own time is on it");
    }
}
