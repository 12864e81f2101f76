//! The files by themselves: what is read after what happened to them.

use std::io::Write as _;
use std::path::Path;

use rootspan_model::time::UnixNanos;
use tempfile::TempDir;

use super::*;

const NOW: UnixNanos = UnixNanos(1_900_000_000_000_000_000);

struct Bench {
    folder: TempDir,
    files: Files,
    budget: Arc<Budget>,
    now: UnixNanos,
}

fn options(folder: &Path, yaml: &str) -> Options {
    let config = OtlpJsonFileConfig {
        include: vec![format!("{}/in/**/*.json*", folder.display())],
        exclude: vec![format!("{}/in/*.skip.json", folder.display())],
        exclude_older_than: Duration::ZERO,
        start_at: if yaml.contains("end") { StartAt::End } else { StartAt::Beginning },
        poll_interval: Duration::from_millis(1),
        max_log_size: ByteSize(100),
        force_flush_period: Duration::from_millis(500),
        compression: if yaml.contains("auto") { Packing::Auto } else { Packing::None },
        replay_file: false,
        storage: None,
    };
    config.options(yaml.contains("storage").then(|| folder.join("places")))
}

impl Bench {
    fn new(yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        std::fs::create_dir_all(folder.path().join("in/deep")).expect("there is room");
        let files = Files::new(options(folder.path(), yaml)).expect("nothing was kept");
        Self { folder, files, budget: Budget::new(1 << 20), now: NOW }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("in").join(name)
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(self.path(name));
        file.and_then(|mut file| file.write_all(text.as_ref())).expect("there is room");
    }

    fn restart(&mut self, yaml: &str) {
        self.files = Files::new(options(self.folder.path(), yaml)).expect("the places are sound");
    }

    /// Everything that can be read now, taken and kept.
    fn read(&mut self) -> Vec<String> {
        self.files.discover(self.now);
        let mut all = Vec::new();
        for index in 0..self.files.count() {
            loop {
                let window = match self.files.read(index, &self.budget, self.now) {
                    Ok(window) => window,
                    Err(_) => {
                        self.files.give_up(index);
                        break;
                    }
                };
                let Some(last) = window.lines.last().map(|line| line.end) else { break };
                let count = window.lines.len() as u64;
                for line in window.lines {
                    match line.content {
                        Content::Blank => {}
                        Content::TooLong => all.push("too long".to_owned()),
                        Content::Text(text) => all.push(String::from_utf8_lossy(text.as_ref()).into_owned()),
                    }
                }
                self.files.advance(index, last, count);
            }
        }
        self.files.keep().expect("there is room");
        assert_eq!(self.budget.used(), 0, "every byte is given back");
        all
    }
}

#[test]
fn lines_are_read_as_they_come() {
    let mut bench = Bench::new("");
    bench.append("a.json", "1\n\n2\r\n3");
    bench.append("deep/b.json", "4\n");
    bench.append("c.skip.json", "5\n");
    bench.append("d.txt", "6\n");
    assert_eq!(bench.read(), ["1", "2\r", "4"]);
    bench.append("a.json", format!("0\n{}\n7\n", "x".repeat(101)));
    assert_eq!(bench.read(), ["30", "too long", "7"]);
    assert_eq!(bench.read(), Vec::<String>::new());
    let many: Vec<String> = (100..300).map(|number| number.to_string()).collect();
    bench.append("a.json", format!("{}\n", many.join("\n")));
    assert_eq!(bench.read(), many, "over several windows");
    assert_eq!(bench.files.line_number(0), 207);
}

#[test]
fn a_last_line_without_an_end_waits_until_it_is_quiet_and_whole() {
    let mut bench = Bench::new("");
    bench.append("a.json", "{\"a\"");
    assert!(bench.read().is_empty());
    bench.now.0 += 600_000_000;
    assert!(bench.read().is_empty(), "it is not whole");
    bench.append("a.json", ":1}");
    assert!(bench.read().is_empty(), "it has just changed");
    bench.now.0 += 600_000_000;
    assert_eq!(bench.read(), ["{\"a\":1}"]);
    bench.append("a.json", "\n2\n");
    assert_eq!(bench.read(), ["2"]);
}

#[test]
fn reading_begins_at_the_end_only_of_what_was_there() {
    let mut bench = Bench::new("end");
    bench.append("a.json", "1\n2\n");
    assert!(bench.read().is_empty());
    bench.append("a.json", "3\n");
    bench.append("b.json", "4\n");
    assert_eq!(bench.read(), ["3", "4"]);
    assert_eq!(bench.files.line_number(0), 4, "lines before the place are counted when somebody asks");
}

#[test]
fn a_rotated_file_is_read_to_its_end_and_the_new_one_from_its_beginning() {
    let mut bench = Bench::new("");
    bench.append("a.json", "1\n");
    assert_eq!(bench.read(), ["1"]);
    bench.append("a.json", "2\n3");
    // Out of the pattern's sight, and in it.
    std::fs::rename(bench.path("a.json"), bench.path("a.old")).expect("it is there");
    bench.append("a.json", "4\n");
    assert_eq!(bench.read(), ["2", "3", "4"], "nothing follows the last line of a file that is gone");
    std::fs::rename(bench.path("a.json"), bench.path("a.json.1")).expect("it is there");
    bench.append("a.json", "5\n");
    bench.append("a.json.1", "6\n");
    assert_eq!(bench.read(), ["6", "5"]);
    assert!(bench.read().is_empty());
}

#[test]
fn a_copied_and_cut_file_goes_on_in_the_copy() {
    let mut bench = Bench::new("");
    bench.append("a.json", "first line\n");
    assert_eq!(bench.read(), ["first line"]);
    bench.append("a.json", "written before the copy\n");
    std::fs::copy(bench.path("a.json"), bench.path("a.json.1")).expect("there is room");
    std::fs::write(bench.path("a.json"), "new\n").expect("there is room");
    let mut read = bench.read();
    read.sort();
    assert_eq!(read, ["new", "written before the copy"]);
}

#[test]
fn after_a_restart_nothing_is_passed_over_and_nothing_read_twice() {
    let mut bench = Bench::new("storage end");
    bench.append("a.json", "old\n");
    assert!(bench.read().is_empty());
    bench.append("a.json", "1\n");
    assert_eq!(bench.read(), ["1"]);
    bench.append("a.json", "2\n");
    std::fs::rename(bench.path("a.json"), bench.path("a.json.1")).expect("it is there");
    bench.append("a.json", "3\n");
    bench.restart("storage end");
    assert_eq!(bench.read(), ["3", "2"], "also what came while nobody looked");
    bench.restart("storage end");
    assert!(bench.read().is_empty());
    // What is read but not taken comes again.
    bench.append("a.json", "4\n");
    bench.files.discover(bench.now);
    for index in 0..bench.files.count() {
        drop(bench.files.read(index, &bench.budget, bench.now));
    }
    bench.files.keep().expect("there is room");
    bench.restart("storage end");
    assert_eq!(bench.read(), ["4"]);
    std::fs::write(bench.folder.path().join("places/places.json"), "{}").expect("there is room");
    assert!(Files::new(options(bench.folder.path(), "storage")).is_err(), "it is not overwritten");
}

#[test]
fn compressed_files_are_unpacked() {
    use flate2::write::GzEncoder;
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).expect("memory")
    };
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
    assert!(bench.read().is_empty());
}

#[test]
fn without_memory_nothing_is_passed_over() {
    let mut bench = Bench::new("");
    bench.append("a.json", "11111111\n22222222\n");
    bench.budget = Budget::new(12);
    bench.files.discover(bench.now);
    let window = bench.files.read(0, &bench.budget, bench.now).expect("it can be read");
    assert_eq!((window.lines.len(), window.is_exhausted), (1, true));
    let end = window.lines[0].end;
    drop(window);
    bench.files.advance(0, end, 1);
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
