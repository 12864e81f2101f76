use std::fs::{self, OpenOptions};
use std::io::Write as _;

use rootspan_wire::nginx::log::InvalidLine;

use super::*;

/// No line.
const NONE: [u64; 0] = [];

/// A folder with a log, and what was read of it.
struct Log {
    folder: tempfile::TempDir,
    settings: Settings,
    written: u64,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = Settings { service_name: "nginx".to_owned(), host_name: None };
        Self { folder, settings, written: 0 }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }

    fn named(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A line that differs from all others; its span's id is its number.
    fn line(&mut self) -> String {
        self.written += 1;
        let (id, trace) = (format!("{:016x}", self.written), "4bf92f3577b34da6a3ce929d0e0e4736");
        format!(
            "{{\"request_id\":\"{id}a1a2a3a4a5a6a7a8\",\"traceparent\":\"00-{trace}-a1a2a3a4a5a6a7a8-01\",\"msec\":\"17.5\",\
             \"request_time\":\"0.1\",\"request_method\":\"GET\"}}\n"
        )
    }

    fn append_to(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.named(name)).expect("the folder is ours");
        file.write_all(text.as_bytes()).expect("there is room");
    }

    /// Appends so many lines to the log.
    fn write(&mut self, lines: usize) {
        for _ in 0..lines {
            let line = self.line();
            self.append_to("access.log", &line);
        }
    }

    fn positions(&self) -> Positions {
        Positions::read(self.named("positions.json"))
    }

    fn open(&self, start_at: StartAt) -> Tail {
        Tail::open(self.path(), start_at, &mut self.positions())
    }

    /// Remembers where the tail is, as at the end of a run.
    fn close(&self, tail: Tail) {
        let mut positions = self.positions();
        positions.update(&[tail]);
        positions.write();
    }

    /// The numbers of the lines that are there to read, `0` for a bad one.
    fn read(&self, tail: &mut Tail, seconds: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some(chunk) = tail.next(Duration::from_secs(seconds), &self.settings) {
            let id = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
            numbers.extend(chunk.batch.spans().map(|item| id(item.span.span_id.as_bytes())));
            numbers.extend(chunk.tally.bad.iter().map(|_| 0));
            tail.advance(chunk.source, chunk.to);
        }
        numbers
    }
}

#[test]
fn a_log_is_read_line_by_line_as_it_grows() {
    let mut log = Log::new();
    let mut tail = log.open(StartAt::End);
    assert_eq!(log.read(&mut tail, 0), NONE, "it is not there yet");
    log.write(2);
    assert_eq!(log.read(&mut tail, 1), [1, 2], "it came later, so it is read from its beginning");
    let third = log.line();
    let (begin, end) = third.split_at(40);
    log.append_to("access.log", begin);
    assert_eq!(log.read(&mut tail, 2), NONE, "the line is not finished");
    log.append_to("access.log", end);
    log.write(1);
    assert_eq!(log.read(&mut tail, 3), [3, 4]);
}

#[test]
fn start_at_end_passes_over_what_was_there() {
    let mut log = Log::new();
    log.write(3);
    let (mut end, mut beginning) = (log.open(StartAt::End), log.open(StartAt::Beginning));
    log.write(1);
    assert_eq!(log.read(&mut end, 0), [4]);
    assert_eq!(log.read(&mut beginning, 0), [1, 2, 3, 4]);
}

#[test]
fn a_renamed_log_is_read_to_its_end() {
    let mut log = Log::new();
    let mut tail = log.open(StartAt::Beginning);
    log.write(2);
    fs::rename(log.path(), log.named("access.log.1")).expect("renamed");
    // nginx has not reopened yet.
    let late = log.line();
    log.append_to("access.log.1", &late);
    assert_eq!(log.read(&mut tail, 0), NONE, "it was never seen under its name");

    let mut tail = log.open(StartAt::Beginning);
    log.write(1);
    assert_eq!(log.read(&mut tail, 0), [4]);
    fs::rename(log.path(), log.named("access.log.2")).expect("renamed");
    log.write(1);
    let late = log.line();
    log.append_to("access.log.2", &late);
    assert_eq!(log.read(&mut tail, 1), [6, 5], "both files");
    let later = log.line();
    log.append_to("access.log.2", &later);
    assert_eq!(log.read(&mut tail, 50), [7], "a long request");
    assert_eq!(log.read(&mut tail, 60), NONE);
    assert_eq!(tail.saved().len(), 2, "it has grown ten seconds ago");
    assert_eq!(log.read(&mut tail, 111), NONE);
    assert_eq!(tail.saved().len(), 1, "it is let go");
}

#[test]
fn a_line_that_will_never_end_is_a_bad_one() {
    let mut log = Log::new();
    log.write(1);
    let mut tail = log.open(StartAt::Beginning);
    log.append_to("access.log", "{\"half");
    assert_eq!(log.read(&mut tail, 0), [1]);
    fs::rename(log.path(), log.named("access.log.1")).expect("renamed");
    log.write(1);
    assert_eq!(log.read(&mut tail, 1), [2]);
    let chunk = tail.next(Duration::from_secs(70), &log.settings).expect("the rest");
    let [bad] = &chunk.tally.bad[..] else { panic!("one line") };
    assert_eq!(bad.reason, InvalidLine::Unfinished);
    assert!(bad.to_string().ends_with("access.log:2: the line is not finished"), "{bad}");
    tail.advance(chunk.source, chunk.to);
    assert_eq!(log.read(&mut tail, 71), NONE);
    assert_eq!(tail.saved().len(), 1);
}

#[test]
fn a_log_that_is_copied_and_truncated_is_read_on_in_the_copy() {
    let mut log = Log::new();
    log.write(2);
    let mut tail = log.open(StartAt::Beginning);
    assert_eq!(log.read(&mut tail, 0), [1, 2]);
    log.write(2);
    fs::copy(log.path(), log.named("access.log.1")).expect("copied");
    fs::write(log.path(), "").expect("truncated");
    log.write(1);
    assert_eq!(log.read(&mut tail, 1), [3, 4, 5]);
    // Longer than before at once: only its beginning tells.
    fs::copy(log.path(), log.named("access.log.2")).expect("copied");
    fs::write(log.path(), "").expect("truncated");
    log.write(9);
    assert_eq!(log.read(&mut tail, 2), (6..15).collect::<Vec<_>>());
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut log = Log::new();
    log.write(3);
    let mut tail = log.open(StartAt::Beginning);
    assert_eq!(log.read(&mut tail, 0), [1, 2, 3]);
    log.close(tail);
    log.write(2);
    let mut tail = log.open(StartAt::End);
    assert_eq!(log.read(&mut tail, 0), [4, 5]);
    log.close(tail);

    // Two rotations meanwhile, and a generation that was read long ago.
    log.write(1);
    fs::rename(log.path(), log.named("access.log.2")).expect("renamed");
    log.write(1);
    fs::rename(log.path(), log.named("access.log.1")).expect("renamed");
    log.write(1);
    fs::write(log.named("access.log.3.gz"), "packed").expect("written");
    let mut tail = log.open(StartAt::End);
    assert_eq!(log.read(&mut tail, 0), [6, 7, 8]);
    log.close(tail);

    // Copied and truncated meanwhile.
    log.write(1);
    fs::copy(log.path(), log.named("access.log.copy")).expect("copied");
    fs::write(log.path(), "").expect("truncated");
    log.write(1);
    let mut tail = log.open(StartAt::End);
    assert_eq!(log.read(&mut tail, 0), [9, 10]);
}

#[test]
fn what_was_not_delivered_is_read_again() {
    let mut log = Log::new();
    log.write(2);
    let mut tail = log.open(StartAt::Beginning);
    let first = tail.next(Duration::ZERO, &log.settings).expect("lines");
    let again = tail.next(Duration::ZERO, &log.settings).expect("lines");
    assert_eq!(first.batch.bytes(), again.batch.bytes());
    log.close(tail);
    let mut tail = log.open(StartAt::End);
    assert_eq!(log.read(&mut tail, 0), [1, 2]);
}

#[test]
fn bad_lines_are_told_with_their_number_and_the_rest_is_read() {
    let mut log = Log::new();
    log.write(1);
    log.append_to("access.log", "\n127.0.0.1 - - GET /\n");
    log.append_to("access.log", &format!("{}\n", "x".repeat(3 << 20)));
    log.write(1);
    let mut tail = log.open(StartAt::Beginning);
    let (mut numbers, mut bad) = (Vec::new(), Vec::new());
    while let Some(chunk) = tail.next(Duration::ZERO, &log.settings) {
        numbers.extend(chunk.batch.spans().map(|item| item.span.span_id.to_string()));
        bad.extend(chunk.tally.bad.iter().map(|line| (line.number, line.reason.to_string())));
        tail.advance(chunk.source, chunk.to);
    }
    assert_eq!(numbers, ["0000000000000001", "0000000000000002"]);
    let [(Some(3), no_json), (Some(4), too_long)] = &bad[..] else { panic!("{bad:?}") };
    assert!(no_json.starts_with("the line is no JSON object"), "{no_json}");
    assert_eq!(too_long, "the line is longer than 262144 bytes");
}

#[test]
fn positions_that_cannot_be_read_are_as_none() {
    let mut log = Log::new();
    log.write(1);
    for text in ["", "{", "{\"version\":2,\"files\":[]}", "{\"version\":1,\"files\":[{}]}"] {
        fs::write(log.named("positions.json"), text).expect("written");
        assert_eq!(log.read(&mut log.open(StartAt::Beginning), 0), [1], "{text}");
    }
}
