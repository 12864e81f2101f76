use rootspan_testkit::fixture;

use super::*;
use crate::tree::Tree;

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
