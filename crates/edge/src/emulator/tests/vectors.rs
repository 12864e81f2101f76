//! The shared vectors against the function that the builder makes, in the sandbox that the emulator uses.

use std::time::Duration;

use rootspan_model::log_payload::LogPayload;
use serde_json::{Map, Value, json};

use crate::build::viewer_request;
use crate::emulator::sandbox::{Called, FunctionCode, Invocation};
use crate::settings::Settings;

const START: u64 = 1_789_380_930_295;
const REQUEST_ID: &str = "Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg==";

fn function(settings: &str) -> FunctionCode {
    let settings = Settings::parse(settings).expect("valid settings");
    FunctionCode::new(&viewer_request(&settings).expect("within the limits").code).expect("valid code")
}

fn run(function: &FunctionCode, event: &Value) -> (Value, Option<String>) {
    let invocation = Invocation {
        event: event.to_string(),
        raw_query: String::new(),
        start_unix_millis: START,
        edge_location: "null".to_owned(),
        time_limit: Duration::from_secs(10),
    };
    let Called { result, log_data, .. } = function.call(&invocation);
    (result.expect("the function never fails").expect("it returns a request"), log_data)
}

fn event(request_id: &str, headers: &Value) -> Value {
    json!({
        "version": "1.0",
        "context": {"requestId": request_id, "eventType": "viewer-request"},
        "viewer": {"ip": "192.0.2.9"},
        "request": {"method": "GET", "uri": "/", "querystring": {}, "headers": headers, "cookies": {}},
    })
}

/// A header as an event has it.
fn header(values: &Value) -> Value {
    let values = values.as_array().expect("headers is a list");
    let all: Vec<_> = values.iter().map(|value| json!({"value": value})).collect();
    if all.len() == 1 { all[0].clone() } else { json!({"value": values[0], "multiValue": all}) }
}

fn vectors(text: &str, list: &str) -> Vec<Value> {
    let mut file: Value = serde_json::from_str(text).expect("the vectors are JSON");
    let Value::Array(list) = file[list].take() else { panic!("{list} is a list") };
    assert!(!list.is_empty());
    list
}

#[test]
fn traceparent() {
    let function = function("trust: continue");
    for vector in vectors(include_str!("../../../../../testdata/propagation/traceparent.json"), "vectors") {
        let (_, log_data) = run(&function, &event(REQUEST_ID, &json!({"traceparent": header(&vector["headers"])})));
        let payload = LogPayload::find(&log_data.expect("it logs")).expect("a payload");
        let continued = payload.incoming_parent.map(|parent| {
            let sent = payload.traceparent;
            json!({
                "traceId": sent.trace_id.to_string(), "spanId": parent.to_string(),
                "sampled": sent.flags.is_sampled(), "random": sent.flags.is_random(),
            })
        });
        assert_eq!(continued.unwrap_or_default(), vector["expected"], "{}", vector["name"]);
    }
}

#[test]
fn tracestate() {
    let function = function("trust: continue");
    let traceparent = json!({"value": "00-000000000000000000ffffffffffffff-00f067aa0ba902b7-03"});
    for vector in vectors(include_str!("../../../../../testdata/propagation/tracestate.json"), "vectors") {
        let headers = json!({"traceparent": traceparent, "tracestate": header(&vector["headers"])});
        let (request, _) = run(&function, &event(REQUEST_ID, &headers));
        let sent = request["headers"]["tracestate"]["value"].as_str().unwrap_or_default();
        assert_eq!(sent, vector["expected"].as_str().unwrap_or_default(), "{}", vector["name"]);
    }
}

#[test]
fn request_ids() {
    let function = function("");
    for vector in vectors(include_str!("../../../../../testdata/propagation/request-ids.json"), "vectors") {
        let (request, _) = run(&function, &event(vector["requestId"].as_str().expect("text"), &json!({})));
        let expected =
            format!("00-{}-{}-03", vector["traceId"].as_str().expect("text"), vector["spanId"].as_str().expect("text"));
        assert_eq!(request["headers"]["traceparent"]["value"], expected, "{vector}");
    }
}

#[test]
fn sampling() {
    let function = function("trust: continue");
    for vector in vectors(include_str!("../../../../../testdata/propagation/sampling.json"), "decisions") {
        let mut ot = format!("ot=th:{}", vector["threshold"].as_str().expect("text"));
        if let Some(random_value) = vector["randomValue"].as_str() {
            ot.push_str(&format!(";rv:{random_value}"));
        }
        let parent = format!("00-{}-00f067aa0ba902b7-01", vector["traceId"].as_str().expect("text"));
        let headers = json!({"traceparent": {"value": parent}, "tracestate": {"value": ot}});
        let (_, log_data) = run(&function, &event(REQUEST_ID, &headers));
        let payload = LogPayload::find(&log_data.expect("it logs")).expect("a payload");
        // A threshold that contradicts the sampled flag is dropped.
        assert_eq!(payload.threshold.is_some(), vector["sampled"] == true, "{}", vector["name"]);
    }
}

#[test]
fn whole_decisions() {
    for vector in vectors(include_str!("../../../../../testdata/propagation/viewer-request.json"), "vectors") {
        let function = function(&vector["settings"].to_string());
        let before = &vector["event"]["request"];
        let (after, log_data) = run(&function, &vector["event"]);
        let Value::Object(expected) = &vector["expected"]["headers"] else {
            assert_eq!((&after, &log_data), (before, &None), "{}", vector["name"]);
            continue;
        };
        let without = |request: &Value| -> (Value, Map<String, Value>) {
            let mut rest = request.clone();
            let mut headers = rest["headers"].as_object().cloned().unwrap_or_default();
            headers.retain(|name, _| !expected.contains_key(name));
            rest["headers"] = Value::Null;
            (rest, headers)
        };
        assert_eq!(without(&after), without(before), "{}", vector["name"]);
        for (name, value) in expected {
            assert_eq!(after["headers"][name]["value"], *value, "{}: {name}", vector["name"]);
        }
        let payload = vector["expected"]["payload"].as_str().expect("text").replace("{start}", &START.to_string());
        assert_eq!(log_data.as_deref(), Some(payload.as_str()), "{}", vector["name"]);
    }
}
