//! What the edge function costs for each request: instructions of Debian's njs, the nearest relative of CloudFront's
//! engine that there is. The harness makes a fresh event for each request; what it costs with a function that does
//! nothing is taken off.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::instructions;

/// Requests that are counted; instructions vary little, and valgrind is slow.
const REQUESTS: u32 = 1_000;

/// Stands in for CloudFront's module.
const CLOUDFRONT: &str = "export default { logCustomData: function (text) { return text.length; } };\n";

/// Runs the functions in `FUNCTIONS` one after the other on one event for each request.
const HARNESS: &str = "
import fs from 'fs';
FUNCTIONS
var handlers = [HANDLERS];
var text = fs.readFileSync('event.json', 'utf8');
var count = Number(process.env.REQUESTS);
for (var i = 0; i < count; i++) {
    var event = JSON.parse(text);
    event.context.requestId = event.context.requestId.slice(0, 40) + (100000000000000 + i) + '==';
    handlers.forEach(function (handler) { handler(event); });
}
";

/// A viewer's request with its headers; the second one's viewer traces as well.
const EVENTS: [(&str, &str); 2] = [
    ("no incoming trace", ""),
    (
        "incoming trace",
        r#","traceparent":{"value":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},"tracestate":{"value":"ot=th:8,vendor=abc"}"#,
    ),
];

/// Settings with everything on.
const EVERYTHING: &str = "\
probability: 0.1
trust: continue
ids_via: both
propagators: [b3, b3multi, xray]
baggage: keep
force_sampling:
  header: x-force-trace
  key: a key of thirty-two characters!!
paths:
  - pattern: /static/*
    probability: 0.01
  - pattern: /api/*
    probability: 1
";

/// A function, or several that run one after the other.
struct Subject {
    name: String,
    code: Vec<String>,
}

/// Prints the table. `sample` are the files of AWS's published sample, in the order in which they run.
pub(super) fn run(rootspan: &Path, sample: &[PathBuf], folder: &Path) -> anyhow::Result<String> {
    let subjects = [
        subject_of(rootspan, "viewer-request.js, default settings", "", folder)?,
        subject_of(rootspan, "viewer-request.js, everything on", EVERYTHING, folder)?,
    ];
    let mut subjects = Vec::from(subjects);
    for count in 1..=sample.len() {
        let files = &sample[..count];
        let code = files.iter().map(|file| std::fs::read_to_string(file).with_context(|| file.display().to_string()));
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap_or_default().to_string_lossy()).collect();
        subjects.push(Subject { name: names.join(" + "), code: code.collect::<Result<_, _>>()? });
    }
    let mut table = "| instructions a request under njs | bytes |".to_owned();
    for (event, _) in EVENTS {
        table += &format!(" {event} |");
    }
    table += "\n|---|---|---|---|\n";
    for subject in &subjects {
        let bytes: usize = subject.code.iter().map(String::len).sum();
        table += &format!("| {} | {bytes} |", subject.name);
        for (_, headers) in EVENTS {
            let counted = measure(subject, headers, folder)?;
            table += &format!(" {counted} |");
        }
        table += "\n";
    }
    Ok(table)
}

/// What `rootspan edge build` writes.
fn subject_of(rootspan: &Path, name: &str, settings: &str, folder: &Path) -> anyhow::Result<Subject> {
    let (file, out) = (folder.join("edge.yaml"), folder.join("built"));
    std::fs::create_dir_all(folder)?;
    std::fs::write(&file, settings)?;
    let built =
        Command::new(rootspan).args(["edge", "build", "--settings"]).arg(&file).arg("--out").arg(&out).output()?;
    ensure!(built.status.success(), "rootspan edge build: {}", String::from_utf8_lossy(&built.stderr));
    Ok(Subject { name: name.to_owned(), code: vec![std::fs::read_to_string(out.join("viewer-request.js"))?] })
}

/// Instructions of one request.
fn measure(subject: &Subject, headers: &str, folder: &Path) -> anyhow::Result<u64> {
    let nothing = Subject {
        name: String::new(),
        code: vec!["function handler(event) { return event; }".to_owned(); subject.code.len()],
    };
    let with = run_harness(subject, headers, folder)?;
    let without = run_harness(&nothing, headers, folder)?;
    Ok(with.saturating_sub(without) / u64::from(REQUESTS))
}

/// Instructions of all requests, without those of starting up.
fn run_harness(subject: &Subject, headers: &str, folder: &Path) -> anyhow::Result<u64> {
    let folder = folder.join("njs");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("cloudfront"), CLOUDFRONT)?;
    let (mut imports, mut handlers) = (String::new(), Vec::new());
    for (index, code) in subject.code.iter().enumerate() {
        std::fs::write(
            folder.join(format!("function{index}.js")),
            format!("{code}\nexport default {{ handler: handler }};\n"),
        )?;
        imports += &format!("import function{index} from 'function{index}.js';\n");
        handlers.push(format!("function{index}.handler"));
    }
    let main = HARNESS.replace("FUNCTIONS", &imports).replace("HANDLERS", &handlers.join(", "));
    let main = main.replace("event.json", &folder.join("event.json").display().to_string());
    std::fs::write(folder.join("main.js"), main)?;
    std::fs::write(folder.join("event.json"), event(headers))?;
    let (search, main) = (folder.display().to_string(), folder.join("main.js").display().to_string());
    let run = |requests: u32| {
        let requests = format!("REQUESTS={requests}");
        instructions::of(&["--trace-children=yes", "env", &requests, "njs", "-p", &search, &main])
    };
    Ok(run(REQUESTS)?.saturating_sub(run(0)?))
}

fn event(headers: &str) -> String {
    format!(
        r#"{{"version":"1.0","context":{{"distributionDomainName":"d111111abcdef8.cloudfront.net","distributionId":"EDFDVBD6EXAMPLE","eventType":"viewer-request","requestId":"Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg=="}},"viewer":{{"ip":"198.51.100.11"}},"request":{{"method":"GET","uri":"/api/items","querystring":{{"limit":{{"value":"5"}}}},"headers":{{"host":{{"value":"shop.example.com"}},"user-agent":{{"value":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}},"accept":{{"value":"application/json"}},"accept-language":{{"value":"de,en;q=0.7"}},"accept-encoding":{{"value":"gzip, deflate, br"}},"referer":{{"value":"https://shop.example.com/products/7"}},"sec-fetch-dest":{{"value":"empty"}},"sec-fetch-mode":{{"value":"cors"}},"cloudfront-viewer-country":{{"value":"DE"}}{headers}}},"cookies":{{"session":{{"value":"c0ffee"}}}}}},"response":{{"statusCode":200,"statusDescription":"OK","headers":{{"content-type":{{"value":"application/json"}}}}}}}}"#
    )
}
