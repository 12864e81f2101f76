//! Yesterday's logs, read into a store without a server, and then looked at.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::api;
use crate::http;
use crate::process::{Process, Setup, Site, rootspan};

const HEADER: &str = "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status \
                      x-edge-result-type x-edge-request-id x-host-header cs-protocol time-taken\n";

fn line(number: u32, status: u32, result: &str) -> String {
    format!(
        "2026-09-14\t10:15:{:02}\tFRA60-P4\t512\t198.51.100.11\tGET\td111.cloudfront.net\t/api/items/{number}\t{status}\t{result}\t\
         request-{number}\tshop.example.com\thttps\t0.{:03}\n",
        number % 60,
        number % 900,
    )
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn a_folder_of_logs_becomes_a_store_that_is_searched() {
    let site = Site::new(Setup { store: ", retention: 100000h", ..Setup::default() });
    let logs = site.path("logs");
    std::fs::create_dir_all(logs.join("2026")).expect("a folder");
    let hits: String = (0..300).map(|number| line(number, 200, "Hit")).collect();
    std::fs::write(logs.join("2026/E1.2026-09-14-10.abc.gz"), gzip(&(HEADER.to_owned() + &hits))).expect("written");
    let errors: String = (300..320).map(|number| line(number, 502, "Error")).collect();
    std::fs::write(logs.join("E1.2026-09-14-11.def"), HEADER.to_owned() + &errors + "broken line\n").expect("written");
    let import = || {
        let mut command = rootspan();
        command.arg("import").arg(&logs).arg("--data").arg(site.data()).args(["--route", "/api/items/{id}"]);
        Process::spawn(&mut command).end()
    };
    let ended = import();
    assert!(!ended.status.success(), "a line was not understood: {ended:?}");
    for expected in [
        "2  files",
        "320  spans",
        "20  of them failed",
        "320  with ids derived",
        "1  lines or records that could not be read",
    ] {
        assert!(ended.stdout.contains(expected), "{expected} is not in\n{}", ended.stdout);
    }
    assert!(ended.stdout.contains("--set exporters.store.retention="), "{}", ended.stdout);
    assert!(ended.stderr.contains("E1.2026-09-14-11.def: 1 not understood; the first: "), "{}", ended.stderr);
    let mut command = rootspan();
    command.arg("import").arg(&logs).arg("--data").arg(site.data()).args(["--start", "2030-01-01"]);
    let nothing = Process::spawn(&mut command).end();
    assert!(!nothing.status.success() && nothing.stderr.contains("nothing to import between"), "{nothing:?}");
    // Once more, as somebody does who is not sure: nothing is there twice.
    assert!(import().stdout.contains("320  spans"));

    let process = site.start();
    let rows = api::search(process.ui(), "{ status = error }", "&start=1789300000&end=1789500000&limit=1000");
    assert_eq!(rows.len(), 20);
    let found = api::search(process.ui(), r#"{ span.url.path = "/api/items/7" }"#, "&start=1789300000&end=1789500000");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["rootName"], &found[0]["spanCount"]), (&"GET /api/items/{id}".into(), &1.into()));

    assert!(rows.iter().all(|row| row["derivedIds"] == true && row["backendNotRecorded"] == false), "{rows:?}");
    let by_domain = r#"{ instrumentation:name = "rootspan/cloudfront" && span.aws.cloudfront.distribution_domain = "d111.cloudfront.net" && status = error }"#;
    let found = api::search(process.ui(), by_domain, "&start=1789300000&end=1789500000&limit=1000");
    assert_eq!(found.len(), 20, "what the Edge page asks");
    let view =
        http::get(process.ui(), &format!("/api/v1/traces/{}/view", found[0]["traceId"].as_str().expect("an id")));
    assert!(String::from_utf8_lossy(&view.body).contains("backend spans cannot be joined"), "the trace page's notice");

    // Each record is counted, and once.
    let answer = http::get(process.ui(), "/api/v1/edge/coverage?start=1789300000&end=1789500000").json();
    let totals = &answer["totals"];
    assert_eq!(
        (&totals["records"], &totals["redelivered"], &totals["derived"]),
        (&320.into(), &320.into(), &320.into())
    );
    assert_eq!(totals["resultTypes"], serde_json::json!({"Error": 20, "Hit": 300}));
    assert_eq!(totals["delayP99Nanos"], serde_json::Value::Null, "when it was imported says nothing of the log");
    assert_eq!(answer["findings"][0]["kind"], "derived_ids");

    // The folder is the running program's now.
    let ended = import();
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("stop it for the import"), "{}", ended.stderr);
}

#[test]
fn what_cannot_be_imported_is_said() {
    let site = Site::new(Setup::default());
    let run = |from: &str| Process::spawn(rootspan().args(["import", from, "--data"]).arg(site.data())).end();
    if cfg!(not(feature = "aws")) {
        let bucket = run("s3://logs/prefix");
        assert!(!bucket.status.success() && bucket.stderr.contains("aws s3 sync"), "{}", bucket.stderr);
    }
    let missing = run("no-such-file.gz");
    assert!(missing.stderr.contains("cannot read no-such-file.gz"), "{}", missing.stderr);
    assert!(!missing.status.success());
}
