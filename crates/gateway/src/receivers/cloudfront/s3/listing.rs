//! What of a bucket is listed to find new log files, when it may hold millions of old ones.
//!
//! CloudFront names its files `<prefix><distribution>.YYYY-MM-DD-HH.<unique>.gz`, all in one folder, and they come up to a
//! day after the hour in their name. Keys are listed in the order of their bytes. So the bucket is asked
//!
//! 1. what keys have up to the first dot: one entry for each distribution, however many files it has, and
//! 2. for each of them, the keys from the hour on in which the window begins.
//!
//! Standard logging v2 can put files into folders by date (`2026/09/14/10/`, or `year=2026/month=09/…`): then there is an
//! entry for each folder, and those of the past are passed over. Whatever else the bucket has is listed whole, and what was
//! written before the window is passed over.

use rootspan_model::time::UnixNanos;

/// `2026-09-14-10`
const HOUR: &[u8] = b"dddd-dd-dd-dd";

/// The delimiter behind a distribution.
pub(super) const DELIMITER: &str = ".";

/// How the files below one entry are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// They are of the past.
    PassedOver,
    /// Names begin with their hour: from this key on.
    From(String),
    /// All of them.
    Whole,
}

/// The hour in which the window begins, as in names.
pub(super) fn hour(at: UnixNanos) -> String {
    let utc = at.utc();
    format!("{:04}-{:02}-{:02}-{:02}", utc.year, utc.month, utc.day, utc.hour)
}

/// Whether what is below an entry is of the past, as far as its folders tell. Those in the configured prefix tell nothing:
/// somebody wants them.
pub(super) fn is_past(prefix: &str, entry: &str, window: &str) -> bool {
    let date = date_of_folders(behind(prefix, entry));
    // `2026-09` is past when the window begins in `2026-10-…`; both have fixed lengths.
    window.as_bytes().get(..date.len()).is_some_and(|begin| !date.is_empty() && date.as_bytes() < begin)
}

/// How to list what is below an entry; `first` is the first key there.
pub(super) fn way(prefix: &str, entry: &str, first: &str, window: &str) -> Way {
    if is_past(prefix, entry, window) {
        return Way::PassedOver;
    }
    match first.strip_prefix(entry) {
        Some(name) if begins_with_hour(name) => Way::From(format!("{entry}{window}")),
        _ => Way::Whole,
    }
}

/// The folders behind the prefix; a folder of which it has the beginning is none.
fn behind<'e>(prefix: &str, entry: &'e str) -> &'e str {
    let rest = entry.strip_prefix(prefix).unwrap_or(entry);
    if prefix.is_empty() || prefix.ends_with('/') {
        return rest;
    }
    rest.split_once('/').map_or("", |(_, rest)| rest)
}

/// Whether a name is `2026-09-14-10.…`.
fn begins_with_hour(name: &str) -> bool {
    let name = name.as_bytes();
    let fits = |(byte, form): (&u8, &u8)| if *form == b'd' { byte.is_ascii_digit() } else { byte == form };
    name.len() > HOUR.len() && name.iter().zip(HOUR).all(fits) && name[HOUR.len()] == b'.'
}

/// `2026-09-14-10` of `cf/E1/2026/09/14/10/E1.` and of `cf/year=2026/month=09/day=14/hour=10/E1.`; shorter if there are
/// fewer folders.
fn date_of_folders(entry: &str) -> String {
    // What follows the last slash is no folder.
    let folders: Vec<&str> = entry.split('/').collect();
    let folders = folders.split_last().map_or(&[][..], |(_, folders)| folders);
    let number = |folder: &&str, digits: usize| {
        let value = folder.rsplit('=').next().unwrap_or(folder);
        (value.len() == digits && value.bytes().all(|byte| byte.is_ascii_digit())).then(|| value.to_owned())
    };
    let year = folders.iter().position(|folder| number(folder, 4).is_some_and(|year| year.starts_with("20")));
    let Some(year) = year else { return String::new() };
    let mut date: Vec<String> = number(&folders[year], 4).into_iter().collect();
    date.extend(folders[year + 1..].iter().take(3).map_while(|folder| number(folder, 2)));
    date.join("-")
}

#[cfg(test)]
mod tests;
