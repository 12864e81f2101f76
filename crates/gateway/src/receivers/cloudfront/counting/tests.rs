use rootspan_wire::cloudfront::observation::Observation;

use super::*;

#[test]
fn figures_are_bounded_and_each_record_is_in_one() {
    let record = Observation {
        fate: Fate::SampledOut,
        status: StatusClass::Success,
        distribution: "d1",
        behaviour: "*",
        result_type: "Hit",
        end: None,
        taken_nanos: Some(3_000_000),
        bytes: 0,
        request: None,
        sent_to_origin: None,
    };
    let mut observations = Observations::default();
    let names: Vec<String> = (0..MAX_SERIES + 20).map(|number| format!("d{number}")).collect();
    names.iter().for_each(|name| observations.push(&Observation { distribution: name, ..record }));
    observations.push(&Observation { status: StatusClass::None, ..record });
    observations.push(&Observation { fate: Fate::Secondary, ..record });
    observations.push(&Observation { fate: Fate::Joined, ..record });
    let figures = Figures::default();
    figures.add(&observations);
    let durations = figures.durations();
    assert_eq!(durations.len(), MAX_DISTRIBUTIONS + 1);
    let of = |name: &str| durations.iter().find(|(known, _)| known == name).map(|(_, histogram)| histogram.sum);
    assert_eq!((of("d1"), of(OTHER)), (Some(6), Some((MAX_SERIES as u64 + 20 - MAX_DISTRIBUTIONS as u64) * 3)));
    let all = figures.all();
    assert_eq!(all.iter().map(|(.., count)| count).sum::<u64>(), MAX_SERIES as u64 + 21);
    assert!(all.contains(&(OTHER.to_owned(), OTHER.to_owned(), "2xx", 20)), "{all:?}");
    assert!(all.contains(&("d1".to_owned(), "Hit".to_owned(), "000", 1)), "{all:?}");
}
