use super::*;

#[test]
fn the_calendar_is_right_at_its_corners() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399, "2000-02-28T23:59:59.000Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (951_868_800, "2000-03-01T00:00:00.000Z"),
        (1_709_164_800, "2024-02-29T00:00:00.000Z"),
        (1_789_380_930, "2026-09-14T10:15:30.000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        (18_446_744_073, "2554-07-21T23:34:33.000Z"),
    ] {
        assert_eq!(UnixNanos(seconds * 1_000_000_000).utc().to_string(), text);
    }
    assert_eq!(UnixNanos(u64::MAX).utc().nanosecond, 709_551_615);
}

#[test]
fn every_day_follows_the_day_before() {
    let mut before = UnixNanos(0).utc();
    for day in 1..200_000 {
        let now = UnixNanos(day * 86_400_000_000_000).utc();
        let next_in_month = (now.year, now.month, now.day) == (before.year, before.month, before.day + 1);
        let next_month = now.day == 1 && (now.year * 12 + now.month) == (before.year * 12 + before.month + 1);
        assert!(next_in_month || (next_month && before.day >= 28), "{before} is followed by {now}");
        before = now;
    }
}
