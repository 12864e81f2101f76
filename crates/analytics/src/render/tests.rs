use super::*;

#[test]
fn durations_read_well() {
    for (value, text) in [
        (0, "0ns"),
        (999, "999ns"),
        (1_000, "1us"),
        (35_200_000, "35.2ms"),
        (1_240_000_000, "1.24s"),
        (-1_500, "-1.5us"),
        (59_999_999_999, "59.999s"),
    ] {
        assert_eq!(nanos(value), text);
    }
}
