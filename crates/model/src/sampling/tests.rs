use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::edge_id::EdgeIds;

fn vectors(list: &str) -> Vec<Value> {
    let mut file: Value = serde_json::from_str(include_str!("../../../../testdata/propagation/sampling.json"))
        .expect("the vectors are JSON");
    let Value::Array(list) = file[list].take() else { panic!("{list} is a list") };
    assert!(!list.is_empty());
    list
}

fn threshold(value: &Value) -> Threshold {
    Threshold::parse(value.as_str().expect("a threshold is text")).expect("valid threshold")
}

#[test]
fn threshold_vectors() {
    for vector in vectors("thresholds") {
        let parsed = Threshold::parse(vector["text"].as_str().expect("text")).map(|threshold| threshold.to_string());
        assert_eq!(parsed.as_deref(), vector["expected"].as_str(), "{vector}");
    }
}

#[test]
fn probability_vectors() {
    for vector in vectors("probabilities") {
        let made = Threshold::from_probability(vector["probability"].as_f64().expect("number"));
        assert_eq!(made.map(|made| made.to_string()).as_deref(), vector["threshold"].as_str(), "{vector}");
    }
    assert_eq!(Threshold::from_probability(f64::NAN), None);
    assert_eq!(Threshold::from_probability(f64::INFINITY), Some(Threshold::ALWAYS));
}

#[test]
fn decision_vectors() {
    for vector in vectors("decisions") {
        let trace_id = TraceId::from_hex(vector["traceId"].as_str().expect("text")).expect("valid id");
        let randomness = match vector["randomValue"].as_str() {
            Some(text) => Randomness::parse(text).expect("valid random value"),
            None => Randomness::of_trace(trace_id),
        };
        assert_eq!(threshold(&vector["threshold"]).keeps(randomness), vector["sampled"] == true, "{vector}");
    }
}

#[test]
fn request_vectors() {
    for vector in vectors("requests") {
        let ids = EdgeIds::of_request(vector["requestId"].as_str().expect("text"));
        let keeps = threshold(&vector["threshold"]).keeps(Randomness::of_trace(ids.trace_id));
        assert_eq!(keeps, vector["sampled"] == true, "{vector}");
    }
}

proptest! {
    #[test]
    fn a_probability_comes_back_within_a_millionth(probability in 1e-9_f64..1.0) {
        let threshold = Threshold::from_probability(probability).expect("more than 2^-56");
        let relative = (threshold.probability() - probability).abs() / probability;
        prop_assert!(relative < 1e-5, "{probability} became {threshold}");
        prop_assert_eq!(Threshold::parse(&threshold.to_string()), Some(threshold));
    }

    #[test]
    fn lower_probabilities_keep_a_subset(low in 0_u64..1 << 56, high in 0_u64..1 << 56, random in 0_u64..1 << 56) {
        let (low, high) = (low.min(high), low.max(high));
        prop_assert!(!Threshold(high).keeps(Randomness(random)) || Threshold(low).keeps(Randomness(random)));
    }
}
