use serde_json::Value;

use super::*;

#[test]
fn request_id_vectors() {
    let file: Value = serde_json::from_str(include_str!("../../../../testdata/propagation/request-ids.json"))
        .expect("the vectors are JSON");
    for vector in file["vectors"].as_array().expect("vectors is a list") {
        let ids = EdgeIds::of_request(vector["requestId"].as_str().expect("text"));
        assert_eq!(ids.trace_id.to_string(), vector["traceId"], "{vector}");
        assert_eq!(ids.viewer_span_id.to_string(), vector["spanId"], "{vector}");
    }
}
