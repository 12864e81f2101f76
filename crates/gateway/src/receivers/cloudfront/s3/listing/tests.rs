use super::*;

const WINDOW: &str = "2026-09-14-08";

#[test]
fn the_hour_is_that_of_names() {
    assert_eq!(hour(UnixNanos(1_789_380_930_482_000_000)), "2026-09-14-10");
}

#[test]
fn names_with_their_hour_are_listed_from_the_window_on() {
    for (entry, first) in [
        ("cf/E1.", "cf/E1.2024-01-01-00.abcdef.gz"),
        ("E1.", "E1.2026-09-14-10.abcdef.gz"),
        ("AWSLogs/1111/CloudFront/E1.", "AWSLogs/1111/CloudFront/E1.2025-12-31-23.x.gz"),
    ] {
        let from = format!("{entry}{WINDOW}");
        assert_eq!(way("", entry, first, WINDOW), Way::From(from.clone()));
        assert!(format!("{entry}2026-09-14-08.a.gz") > from, "the first hour of the window is listed");
        assert!(format!("{entry}2026-09-14-07.z.gz") < from);
    }
}

#[test]
fn other_names_are_listed_whole() {
    for (entry, first) in [
        ("logs.", "logs.example.com/E1.2026-09-14-10.a.gz"),
        ("cf/E1.", "cf/E1.gz"),
        ("cf/E1.", "cf/E1.2026-09-14.gz"),
        ("cf/E1.", "cf/E1.2026-09-14-1x.gz"),
        ("cf/E1.", ""),
    ] {
        assert_eq!(way("", entry, first, WINDOW), Way::Whole, "{first}");
    }
}

#[test]
fn folders_of_the_past_are_passed_over() {
    for (entry, past) in [
        ("cf/E1/2026/09/14/07/E1.", true),
        ("cf/E1/2026/09/14/08/E1.", false),
        ("cf/2026/09/13/E1.", true),
        ("cf/2026/08/E1.", true),
        ("cf/2025/E1.", true),
        ("cf/2026/E1.", false),
        ("cf/2026/09/E1.", false),
        ("DistributionId=E1/year=2026/month=09/day=14/hour=07/E1.", true),
        ("DistributionId=E1/year=2026/month=09/day=14/hour=23/E1.", false),
        ("cf/E1.", false),
        ("cf/1234/E1.", false),
        ("cf/2026/09/14/07.", false),
    ] {
        assert_eq!(is_past("", entry, WINDOW), past, "{entry}");
    }
    assert_eq!(way("", "2026/09/14/07/E1.", "2026/09/14/07/E1.2026-09-14-07.a.gz", WINDOW), Way::PassedOver);
}

#[test]
fn folders_of_the_prefix_are_wanted_whatever_year_they_look_like() {
    for (prefix, entry, past) in [
        ("2024/", "2024/E1.", false),
        ("2024", "2024/E1.", false),
        ("cf/20", "cf/2024/E1.", false),
        ("year=2024/", "year=2024/E1.", false),
        ("logs/year=2024/month=01", "logs/year=2024/month=01/E1.", false),
        ("2024/", "2024/2026/09/13/E1.", true),
        ("2024/", "2024/2026/09/14/08/E1.", false),
        ("2024", "2024/2026/09/13/E1.", true),
        ("a/1", "a/12024/E1.", false),
        ("cf/", "cf/year=2025/E1.", true),
    ] {
        assert_eq!(is_past(prefix, entry, WINDOW), past, "{prefix} {entry}");
    }
}
