use rootspan_traceql::parser::parse;

use super::{On, Plan};
use crate::store::{QueryError, SearchRequest};

fn plan(query: &str) -> Plan {
    let request =
        SearchRequest { query: parse(query).expect("a query"), start: None, end: None, limit: 1, after: None };
    Plan::new(&request).expect("a plan")
}

fn check(query: &str, on: &[On], is_complete: bool, hashes: usize) {
    let plan = plan(query);
    let found: Vec<On> = plan.conditions.iter().map(|condition| condition.on.clone()).collect();
    assert_eq!((found.as_slice(), plan.is_complete, plan.hashes.len()), (on, is_complete, hashes), "{query}");
}

fn attribute(key: &str, or_resource: bool) -> On {
    On::Attribute { key: key.to_owned(), or_resource }
}

#[test]
fn conditions_on_one_field_are_split_off_and_ordered_by_cost() {
    check("{}", &[], true, 0);
    check(
        r#"{ span.a = 1 && name = "x" && duration > 1s && resource.service.name = "s" }"#,
        &[On::Resource, On::Duration, On::Name, attribute("a", false)],
        true,
        2,
    );
    check("{ .a > 1 || .a < 0 }", &[attribute("a", true)], true, 0);
    check(r#"{ resource.a = "x" || resource.b = "y" }"#, &[On::Resource], true, 0);
    check("{ traceDuration > 1s && status = error }", &[On::Status, On::Trace], true, 0);
}

#[test]
fn the_rest_is_left_to_the_evaluator() {
    check("{ span.a = 1 || span.b = 1 }", &[], false, 0);
    check(r#"{ kind = server && event.name = "x" }"#, &[On::Kind], false, 0);
    check("{ duration > 1s && span.a = span.b }", &[On::Duration], false, 0);
    assert_eq!(plan("{ span.a = .b && resource.c = 1 }").keys.len(), 2);
}

#[test]
fn a_query_that_does_not_compile_is_refused() {
    use rootspan_traceql::ast::{BinaryOperator, Expression, Field, Intrinsic, Query};
    let name = || Box::new(Expression::Field(Field::Intrinsic(Intrinsic::Name)));
    let filter = Expression::Binary { operator: BinaryOperator::Matches, left: name(), right: name() };
    let request =
        SearchRequest { query: Query { filter: Some(filter) }, start: None, end: None, limit: 1, after: None };
    assert!(matches!(Plan::new(&request), Err(QueryError::Query(_))));
}

/// The range says what the evaluator would.
#[test]
fn a_duration_is_compared_as_the_evaluator_does() {
    for operator in ["=", "!=", ">", ">=", "<", "<="] {
        for literal in ["0ns", "5ns", "6", "-1", "-1ns", "4.5"] {
            let plan = plan(&format!("{{ duration {operator} {literal} }}"));
            let condition = &plan.conditions[0];
            for nanos in [0, 4, 5, 6, 7, u64::MAX] {
                let span = rootspan_wire::otlp::view::Span {
                    end: rootspan_model::time::UnixNanos(nanos),
                    ..rootspan_wire::otlp::view::Span::default()
                };
                assert_eq!(condition.of_duration(nanos), condition.of_span(span), "{nanos} {operator} {literal}");
            }
        }
    }
}
