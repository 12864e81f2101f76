//! The files by themselves: what is read after what happened to them.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::json::is_json;
use tempfile::TempDir;

use super::pieces::Read;
use super::tracker::Tracker;
use super::*;
use crate::budget::Budget;

const NOW: UnixNanos = UnixNanos(1_900_000_000_000_000_000);
const SECOND: u64 = 1_000_000_000;
/// No line.
const NONE: [&str; 0] = [];

struct Bench {
    folder: TempDir,
    files: Tracker,
    budget: Arc<Budget>,
    now: UnixNanos,
}

fn options(folder: &std::path::Path, words: &str) -> Options {
    let texts = |text: String| patterns(&[text]).expect("a pattern");
    let include = if words.contains("one") { "in/access.log" } else { "in/**/*.json*" };
    Options {
        id: "test".to_owned(),
        include: texts(format!("{}/{include}", folder.display())),
        exclude: texts(format!("{}/in/*.skip.json", folder.display())),
        exclude_older_than: Duration::ZERO,
        from_the_end: words.contains("end"),
        packing: if words.contains("auto") { Packing::Auto } else { Packing::None },
        flush_after: Duration::from_millis(500),
        cutting: Cutting {
            piece_bytes: 256,
            piece_lines: 32,
            line_bytes: 100,
            is_whole: is_json,
            split: |line| line.iter().rposition(|byte| *byte == b'}').map_or(0, |end| end + 1),
        },
        note_of: |_| None,
        storage: words.contains("storage").then(|| folder.join("places")),
    }
}

impl Bench {
    fn new(words: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        fs::create_dir_all(folder.path().join("in/deep")).expect("there is room");
        let files = Tracker::new(options(folder.path(), words)).expect("nothing was kept");
        Self { folder, files, budget: Budget::new(1 << 20), now: NOW }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("in").join(name)
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let file = fs::OpenOptions::new().create(true).append(true).open(self.path(name));
        file.and_then(|mut file| file.write_all(text.as_ref())).expect("there is room");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("it is there");
    }

    fn restart(&mut self, words: &str) {
        self.files = Tracker::new(options(self.folder.path(), words)).expect("the places are sound");
    }

    /// Everything that can be read now, taken and kept.
    fn read(&mut self) -> Vec<String> {
        self.files.discover(self.now);
        let mut all = Vec::new();
        for index in 0..self.files.count() {
            while let Read::Piece(piece) = self.files.read(index, &self.budget, self.now) {
                let text = String::from_utf8_lossy(piece.bytes.as_ref()).into_owned();
                all.extend(text.split_terminator('\n').map(str::to_owned));
                all.extend(piece.passed_over.then(|| "too long".to_owned()));
                self.files.advance(index, piece.end, piece.lines);
            }
        }
        self.files.keep().expect("there is room");
        assert_eq!(self.budget.used(), 0, "every byte is given back");
        all
    }

    fn read_later(&mut self, nanos: u64) -> Vec<String> {
        self.now.0 += nanos;
        self.read()
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).expect("memory")
}

#[test]
fn lines_are_read_as_they_come() {
    let mut bench = Bench::new("");
    bench.append("a.json", "1\n\n2\r\n3");
    bench.append("deep/b.json", "4\n");
    bench.append("c.skip.json", "5\n");
    bench.append("d.txt", "6\n");
    assert_eq!(bench.read(), ["1", "", "2\r", "4"]);
    bench.append("a.json", format!("0\n{}\n7\n", "x".repeat(101)));
    assert_eq!(bench.read(), ["30", "too long", "7"]);
    assert_eq!(bench.read(), NONE);
    let many: Vec<String> = (100..300).map(|number| number.to_string()).collect();
    bench.append("a.json", format!("{}\n", many.join("\n")));
    assert_eq!(bench.read(), many, "over several pieces");
    assert_eq!(bench.files.line_number(0), 207);
}

#[test]
fn a_last_line_without_an_end_waits_until_it_is_quiet_and_whole() {
    let mut bench = Bench::new("");
    bench.append("a.json", "{\"a\"");
    assert_eq!(bench.read(), NONE);
    assert_eq!(bench.read_later(SECOND), NONE, "it is not whole");
    bench.append("a.json", ":1}");
    assert_eq!(bench.read(), NONE, "it has just changed");
    assert_eq!(bench.read_later(SECOND), ["{\"a\":1}"]);
    bench.append("a.json", "\n2\n");
    assert_eq!(bench.read(), ["", "2"]);
}

#[test]
fn values_without_lines_are_split_where_one_ends() {
    let mut bench = Bench::new("auto");
    let values: Vec<String> = (0..20_000).map(|number| format!("{{\"number\":{number}}}")).collect();
    let mut options = options(bench.folder.path(), "auto");
    options.cutting.line_bytes = 200_000;
    bench.files = Tracker::new(options).expect("nothing was kept");
    bench.append("a.json.gz", gzip(&values.concat()));
    bench.append("b.json", values.concat());
    bench.append("b.json", "{\"half\":");
    let read = bench.read();
    assert!(read.concat() == values.concat().repeat(2), "all values, and not the one that is being written");
    assert!(read.len() > 4 && read.iter().all(|piece| piece.starts_with('{') && piece.ends_with('}')));
}

#[test]
fn reading_begins_at_the_end_only_of_what_was_there() {
    let mut bench = Bench::new("end");
    bench.append("a.json", "1\n2\n");
    assert_eq!(bench.read(), NONE);
    bench.append("a.json", "3\n");
    bench.append("b.json", "4\n");
    assert_eq!(bench.read(), ["3", "4"]);
    assert_eq!(bench.files.line_number(0), 4, "lines before the place are counted when somebody asks");
}

#[test]
fn a_renamed_file_is_read_as_long_as_it_grows_and_the_new_one_from_its_beginning() {
    let mut bench = Bench::new("");
    bench.append("a.json", "1\n");
    assert_eq!(bench.read(), ["1"]);
    bench.append("a.json", "2\n3");
    // Out of the pattern's sight, and in it.
    bench.rename("a.json", "a.old");
    bench.append("a.json", "4\n");
    assert_eq!(bench.read(), ["2", "4"]);
    bench.append("a.old", "0\n");
    assert_eq!(bench.read_later(50 * SECOND), ["30"], "its writer has not reopened yet");
    bench.append("a.old", "half");
    assert_eq!(bench.read_later(50 * SECOND), NONE);
    assert_eq!(bench.read_later(70 * SECOND), ["half"], "nothing follows the last line of a file that is gone");
    assert_eq!(bench.read_later(SECOND), NONE);
    assert_eq!(bench.files.count(), 1, "it is let go");
    bench.rename("a.json", "a.json.1");
    bench.append("a.json", "5\n");
    bench.append("a.json.1", "6\n");
    assert_eq!(bench.read(), ["6", "5"]);
    assert_eq!(bench.read(), NONE);
}

#[test]
fn a_copied_and_cut_file_goes_on_in_the_copy() {
    for words in ["", "one"] {
        let name = if words.is_empty() { "a.json" } else { "access.log" };
        let mut bench = Bench::new(words);
        bench.append(name, "first line\n");
        assert_eq!(bench.read(), ["first line"]);
        bench.append(name, "written before the copy\n");
        fs::copy(bench.path(name), bench.path(&format!("{name}.1"))).expect("there is room");
        fs::write(bench.path(name), "new\n").expect("there is room");
        let mut read = bench.read();
        read.sort();
        assert_eq!(read, ["new", "written before the copy"], "{words}");
        // Longer than before at once: only its beginning tells.
        fs::copy(bench.path(name), bench.path(&format!("{name}.2"))).expect("there is room");
        fs::write(bench.path(name), "newer\nand longer than before\n").expect("there is room");
        assert_eq!(bench.read(), ["newer", "and longer than before"], "{words}");
    }
}

#[test]
fn after_a_restart_nothing_is_passed_over_and_nothing_read_twice() {
    let mut bench = Bench::new("storage end");
    bench.append("a.json", "old\n");
    assert_eq!(bench.read(), NONE);
    bench.append("a.json", "1\n");
    assert_eq!(bench.read(), ["1"]);
    bench.append("a.json", "2\n");
    bench.rename("a.json", "a.json.1");
    bench.append("a.json", "3\n");
    bench.restart("storage end");
    assert_eq!(bench.read(), ["3", "2"], "also what came while nobody looked");
    bench.restart("storage end");
    assert_eq!(bench.read(), NONE);
    // What is read but not taken comes again.
    bench.append("a.json", "4\n");
    bench.files.discover(bench.now);
    for index in 0..bench.files.count() {
        drop(bench.files.read(index, &bench.budget, bench.now));
    }
    bench.files.keep().expect("there is room");
    bench.restart("storage end");
    assert_eq!(bench.read(), ["4"]);
    fs::write(bench.folder.path().join("places/places.json"), "{}").expect("there is room");
    assert!(Tracker::new(options(bench.folder.path(), "storage")).is_err(), "it is not overwritten");
}

#[test]
fn generations_that_no_pattern_leads_to_are_read_after_a_restart() {
    let mut bench = Bench::new("one storage");
    bench.append("access.log", "1\n");
    assert_eq!(bench.read(), ["1"]);
    // Two rotations meanwhile, one of them under way.
    bench.append("access.log", "2\n");
    bench.rename("access.log", "access.log.2");
    bench.append("access.log", "3\n");
    bench.rename("access.log", "access.log.1");
    bench.append("access.log", "4\n");
    bench.append("access-errors.log", "no request\n");
    bench.restart("one storage end");
    assert_eq!(bench.read(), ["2", "3", "4"]);
    // Copied and cut meanwhile.
    bench.append("access.log", "5\n");
    fs::copy(bench.path("access.log"), bench.path("access.log.copy")).expect("there is room");
    fs::write(bench.path("access.log"), "6\n").expect("there is room");
    bench.restart("one storage end");
    assert_eq!(bench.read(), ["5", "6"]);
}

#[test]
fn compressed_files_are_unpacked_once() {
    let mut bench = Bench::new("auto storage");
    let zstd = zstd::encode_all("4\n5".as_bytes(), 3).expect("memory");
    bench.append("a.json.gz", gzip("1\n2\n"));
    bench.append("b.json", "3\n");
    bench.append("c.json.zst", &zstd[..zstd.len() - 3]);
    assert_eq!(bench.read(), ["1", "2", "3"]);
    bench.append("c.json.zst", &zstd[zstd.len() - 3..]);
    bench.append("a.json.gz", gzip("6\n"));
    assert_eq!(bench.read(), ["6", "4", "5"]);
    bench.restart("auto storage");
    assert_eq!(bench.read(), NONE);
}

#[test]
fn a_log_that_is_compressed_after_it_was_read_is_not_read_again() {
    let mut bench = Bench::new("auto storage");
    bench.append("a.json", "1\n2\n");
    assert_eq!(bench.read(), ["1", "2"]);
    bench.append("a.json", "3\n");
    bench.append("a.json.1.gz", gzip("1\n2\n3\n"));
    fs::remove_file(bench.path("a.json")).expect("it is there");
    bench.append("a.json", "4\n");
    bench.restart("auto storage");
    assert_eq!(bench.read(), ["4", "3"], "only what was not read before");
    bench.restart("auto storage");
    assert_eq!(bench.read(), NONE);
}

#[test]
fn a_damaged_file_is_read_as_far_as_it_is_sound() {
    let mut bench = Bench::new("auto storage");
    let lines: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    let packed = gzip(&lines);
    bench.append("a.json.gz", &packed[..packed.len() / 2]);
    let read = bench.read();
    assert!(read.len() > 1_000 && read.iter().enumerate().all(|(number, line)| *line == format!("line {number}")));
    assert_eq!(bench.read_later(70 * SECOND), NONE, "it is said by now");
    bench.append("a.json.gz", &packed[packed.len() / 2..]);
    assert_eq!(read.len() + bench.read().len(), 20_000, "it was not finished");
}

#[test]
fn without_memory_nothing_is_passed_over() {
    let mut bench = Bench::new("");
    bench.append("a.json", "11111111\n22222222\n");
    bench.budget = Budget::new(12);
    bench.files.discover(bench.now);
    let Read::Piece(piece) = bench.files.read(0, &bench.budget, bench.now) else { panic!("there is a line") };
    assert_eq!(piece.bytes.as_ref(), b"11111111\n");
    let (end, lines) = (piece.end, piece.lines);
    let read = bench.files.read(0, &bench.budget, bench.now);
    assert!(matches!(read, Read::Exhausted), "{read:?}");
    drop(piece);
    bench.files.advance(0, end, lines);
    assert_eq!(bench.read(), ["22222222"]);
}

#[test]
fn everything_is_read_again_when_it_is_asked_for() {
    let mut bench = Bench::new("");
    bench.append("a.json", "1\n2\n");
    assert_eq!(bench.read(), ["1", "2"]);
    bench.files.rewind();
    assert_eq!(bench.read(), ["1", "2"]);
}

#[test]
fn many_files_are_read_once_each() {
    let mut bench = Bench::new("auto storage");
    let name = |number: usize| format!("{number:04}.json{}", if number.is_multiple_of(2) { ".gz" } else { "" });
    for number in 0..1500_usize {
        let text = format!("{number}\n");
        let packed = if number.is_multiple_of(2) { gzip(&text) } else { text.into_bytes() };
        fs::write(bench.path(&name(number)), packed).expect("there is room");
    }
    let expected: Vec<String> = (0..1500).map(|number| number.to_string()).collect();
    assert_eq!(bench.read(), expected);
    assert_eq!(bench.read(), NONE);
    bench.append(&name(1499), "more\n");
    bench.restart("auto storage");
    assert_eq!(bench.read(), ["more"]);
}

#[test]
fn what_comes_once_goes_on_as_it_comes() {
    use super::pieces::{Rest, Stream};
    use std::io::{BufReader, Read as _};
    let folder = tempfile::tempdir().expect("there is room");
    let cutting = options(folder.path(), "").cutting;
    let budget = Budget::new(1 << 20);
    let parts = ["1\n2\nhal", "f\n", "3", "\n{\"rest\":1}"];
    // Each part is what one call reads.
    let input = parts.iter().fold(Box::new(std::io::empty()) as Box<dyn std::io::Read + Send>, |before, part| {
        Box::new(before.chain(part.as_bytes()))
    });
    let mut stream = Stream::once(Box::new(BufReader::new(input)));
    let mut read = || match stream.read(&cutting, Rest::Take, &budget).expect("memory can be read") {
        Read::Piece(piece) => String::from_utf8(piece.bytes.as_ref().to_vec()).expect("text"),
        Read::End { .. } => "end".to_owned(),
        Read::Exhausted => "exhausted".to_owned(),
    };
    assert_eq!([(); 5].map(|()| read()), ["1\n2\n", "half\n", "3\n", "{\"rest\":1}", "end"]);
    drop(stream);
    assert_eq!(budget.used(), 0);
}
