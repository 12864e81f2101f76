//! One span with everything a span can have.

use expect_test::expect;
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::span::{SpanKind, StatusCode};
use rootspan_model::time::UnixNanos;
use rootspan_store::store::StoredTrace;
use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::field;
use rootspan_wire::otlp::view::AnyValue;
use rootspan_wire::otlp::write::{
    SpanParts, Value, put_attribute, put_event, put_link, put_resource, put_resource_spans, put_scope, put_scope_spans,
    put_span, put_varint,
};

use super::SpanJson;
use crate::loaded_trace::LoadedTrace;
use crate::testing::{START, span_id};

fn loaded(request: Vec<u8>) -> LoadedTrace {
    let batch = TraceBatch::from_trusted(request.into()).expect("just written");
    LoadedTrace::new(StoredTrace { batch, conflicting: Vec::new(), omitted_spans: 0 })
}

fn put_all_value_types(out: &mut Vec<u8>) {
    let attribute = field::span::ATTRIBUTES;
    put_attribute(out, attribute, "text", "a \"b\" </script> ü");
    put_attribute(out, attribute, "yes", true);
    put_attribute(out, attribute, "most", i64::MAX);
    put_attribute(out, attribute, "least", i64::MIN);
    put_attribute(out, attribute, "half", 0.5);
    put_attribute(out, attribute, "one", 1.0);
    put_attribute(out, attribute, "not a number", f64::NAN);
    put_attribute(out, attribute, "endless", f64::NEG_INFINITY);
    put_attribute(out, attribute, "raw", &[0xFF, 0x00][..]);
    put_attribute(out, attribute, "list", Value::Array(&[Value::Int(1), Value::Strings(&["x"]), Value::Array(&[])]));
    let list = [("inner", Value::Bool(false)), ("deeper", Value::KeyValueList(&[("key", Value::Int(-1))]))];
    put_attribute(out, attribute, "map", Value::KeyValueList(&list));
    put_attribute(out, attribute, "nothing", AnyValue::Empty);
    put_attribute(out, attribute, "text", "again");
}

fn whole_span() -> Vec<u8> {
    let mut request = Vec::new();
    put_resource_spans(&mut request, "https://example.com/resource", |out| {
        put_resource(out, |out| put_attribute(out, field::resource::ATTRIBUTES, "service.name", "shop"));
        put_scope_spans(out, "", |out| {
            put_scope(out, "library", "1.2", |out| put_attribute(out, field::scope::ATTRIBUTES, "a", 1));
            let parts = SpanParts {
                trace_id: TraceId::new([0xAB; 16]),
                span_id: span_id(7),
                parent_span_id: span_id(1),
                trace_state: "ot=th:8",
                flags: 0x301,
                name: "GET /",
                kind: SpanKind::Client,
                start: START,
                end: UnixNanos(START.0 + 1500),
                status: StatusCode::Error,
                status_message: "refused",
            };
            put_span(out, &parts, |out| {
                put_all_value_types(out);
                put_event(out, UnixNanos(START.0 + 1), "exception", |out| {
                    put_attribute(out, field::event::ATTRIBUTES, "exception.type", "Io");
                });
                put_link(out, TraceId::new([2; 16]), SpanId::new([3; 8]), "x=y", |out| {
                    put_attribute(out, field::link::ATTRIBUTES, "why", "retry");
                });
                put_varint(out, field::span::DROPPED_ATTRIBUTES_COUNT, 3);
            });
        });
    });
    request
}

#[test]
#[expect(clippy::too_many_lines, reason = "the expectation is the whole answer")]
fn everything_of_a_span_is_there() {
    let trace = loaded(whole_span());
    let json = serde_json::to_string_pretty(&SpanJson::new(&trace, 0)).expect("plain data");
    expect![[r#"
        {
          "traceId": "abababababababababababababababab",
          "spanId": "0000000000000007",
          "parentSpanId": "0000000000000001",
          "name": "GET /",
          "kind": "client",
          "service": "shop",
          "startTimeUnixNano": "1700000000000000000",
          "endTimeUnixNano": "1700000000000001500",
          "durationNanos": 1500,
          "status": {
            "code": "error",
            "message": "refused"
          },
          "traceState": "ot=th:8",
          "flags": 769,
          "attributes": [
            {
              "key": "text",
              "type": "string",
              "value": "a \"b\" </script> ü"
            },
            {
              "key": "yes",
              "type": "bool",
              "value": true
            },
            {
              "key": "most",
              "type": "int",
              "value": "9223372036854775807"
            },
            {
              "key": "least",
              "type": "int",
              "value": "-9223372036854775808"
            },
            {
              "key": "half",
              "type": "double",
              "value": 0.5
            },
            {
              "key": "one",
              "type": "double",
              "value": 1.0
            },
            {
              "key": "not a number",
              "type": "double",
              "value": "NaN"
            },
            {
              "key": "endless",
              "type": "double",
              "value": "-Infinity"
            },
            {
              "key": "raw",
              "type": "bytes",
              "value": "/wA="
            },
            {
              "key": "list",
              "type": "array",
              "value": [
                {
                  "type": "int",
                  "value": "1"
                },
                {
                  "type": "array",
                  "value": [
                    {
                      "type": "string",
                      "value": "x"
                    }
                  ]
                },
                {
                  "type": "array",
                  "value": []
                }
              ]
            },
            {
              "key": "map",
              "type": "kvlist",
              "value": [
                {
                  "key": "inner",
                  "type": "bool",
                  "value": false
                },
                {
                  "key": "deeper",
                  "type": "kvlist",
                  "value": [
                    {
                      "key": "key",
                      "type": "int",
                      "value": "-1"
                    }
                  ]
                }
              ]
            },
            {
              "key": "nothing",
              "type": "empty",
              "value": null
            },
            {
              "key": "text",
              "type": "string",
              "value": "again"
            }
          ],
          "resource": {
            "attributes": [
              {
                "key": "service.name",
                "type": "string",
                "value": "shop"
              }
            ],
            "schemaUrl": "https://example.com/resource",
            "droppedAttributes": 0
          },
          "scope": {
            "name": "library",
            "version": "1.2",
            "attributes": [
              {
                "key": "a",
                "type": "int",
                "value": "1"
              }
            ],
            "schemaUrl": "",
            "droppedAttributes": 0
          },
          "events": [
            {
              "timeUnixNano": "1700000000000000001",
              "name": "exception",
              "attributes": [
                {
                  "key": "exception.type",
                  "type": "string",
                  "value": "Io"
                }
              ],
              "droppedAttributes": 0
            }
          ],
          "links": [
            {
              "traceId": "02020202020202020202020202020202",
              "spanId": "0303030303030303",
              "traceState": "x=y",
              "flags": 0,
              "attributes": [
                {
                  "key": "why",
                  "type": "string",
                  "value": "retry"
                }
              ],
              "droppedAttributes": 0
            }
          ],
          "dropped": {
            "attributes": 3,
            "events": 0,
            "links": 0
          },
          "shiftNanos": 0,
          "conflicts": []
        }"#]]
    .assert_eq(&json);
}

#[test]
fn a_root_has_no_parent_and_odd_times_no_negative_duration() {
    let mut request = Vec::new();
    put_resource_spans(&mut request, "", |out| {
        put_scope_spans(out, "", |out| {
            let parts = SpanParts {
                trace_id: TraceId::new([1; 16]),
                span_id: span_id(1),
                start: UnixNanos(u64::MAX),
                end: UnixNanos(5),
                ..SpanParts::default()
            };
            put_span(out, &parts, |_| {});
        });
    });
    let json = serde_json::to_value(SpanJson::new(&loaded(request), 0)).expect("plain data");
    assert_eq!(json["parentSpanId"], serde_json::Value::Null);
    assert_eq!(json["startTimeUnixNano"], "18446744073709551615");
    assert_eq!(json["durationNanos"], 0);
    assert_eq!((&json["service"], &json["kind"]), (&"".into(), &"unspecified".into()));
}
