//! Configuration as users meet it: mistakes all at once, each with its place; variables; the examples of the manual.

use std::path::Path;

use crate::process::{ACCESS_KEY, Ended, Process, Setup, Site, examples, rootspan, run};

fn validate(config: &Path, variables: &[(&str, &str)]) -> Ended {
    Process::spawn(rootspan().arg("validate").arg("--config").arg(config).envs(variables.iter().copied())).end()
}

/// Writes a configuration and gives what `validate` says of it, a line for each mistake, without the file's name.
fn problems(text: &str) -> Vec<String> {
    let site = Site::new(Setup::default());
    std::fs::write(site.config(), text).expect("it can be written");
    let ended = validate(&site.config(), &[]);
    assert!(!ended.status.success(), "it is wrong");
    let prefix = format!("{}:", site.config().display());
    ended.stderr.lines().map(|line| line.strip_prefix(&prefix).unwrap_or(line).to_owned()).collect()
}

#[test]
fn all_mistakes_at_once_with_file_line_and_column() {
    let found = problems(
        r#"receivers:
  otlp:
    protocols:
      grpc: {endpont: 127.0.0.1:4317}
      http: {max_request_body_size: lots}
  kafka: {}
exporters:
  store: {retention: 3 moons, min_free_percent: five}
  stor: {}
service:
  pipelines:
    traces: {receivers: [otlp, otpl], exporters: [store]}
    metrics: {receivers: [otlp], exporters: [store]}
"#,
    );
    let expected = [
        ("4:14: ", "endpoint"),
        ("5:37: ", "lots"),
        ("6:3: ", "kafka"),
        ("8:22: ", "3 moons"),
        ("8:49: ", "five"),
        ("9:3: ", "store"),
        ("12:32: ", "otlp"),
    ];
    assert_eq!(found.len(), expected.len(), "{}", found.join("\n"));
    for (line, (place, words)) in found.iter().zip(expected) {
        assert!(line.starts_with(place) && line.contains(words), "{place} {words}: {line}");
    }
    assert!(found[0].contains("endpont") && found[0].contains("did you mean"), "{}", found[0]);
}

#[test]
fn run_reports_the_same_mistakes_and_starts_nothing() {
    let site = Site::new(Setup::default());
    std::fs::write(site.config(), "receivers: {otlp: {protocolls: {}}}\n").expect("it can be written");
    let (validated, ran) = (validate(&site.config(), &[]), site.spawn().end());
    assert!(!ran.status.success());
    assert_eq!(ran.stderr, validated.stderr);
    assert!(!site.data().exists());
    let missing = run(["run", "--config", "/nowhere/rootspan.yaml"]);
    assert!(!missing.status.success());
    assert!(
        missing.stderr.contains("/nowhere/rootspan.yaml") && missing.stderr.lines().count() == 1,
        "{}",
        missing.stderr
    );
}

#[test]
fn variables_are_expanded_where_they_stand() {
    let site = Site::new(Setup::default());
    let text = std::fs::read_to_string(site.config()).expect("just written");
    let text = text.replace("check_interval", "");
    let text = text
        .replace("  store: {", "  store: {retention: \"${env:IT_RETENTION}\", max_bytes: \"${env:IT_BYTES:-1GiB}\", ");
    std::fs::write(site.config(), text).expect("it can be written");
    let good = validate(&site.config(), &[("IT_RETENTION", "48h")]);
    assert!(good.status.success(), "{}", good.stderr);
    assert_eq!(good.stdout, "valid");
    let bad = validate(&site.config(), &[("IT_RETENTION", "48h"), ("IT_BYTES", "much")]);
    assert!(!bad.status.success());
    assert!(bad.stderr.contains("much"), "{}", bad.stderr);
}

#[test]
fn sources_values_and_gates_of_the_command_line() {
    let site = Site::new(Setup::default());
    let command = |extra: &[&str]| {
        Process::spawn(rootspan().arg("validate").arg("--config").arg(site.config()).args(extra)).end()
    };
    let ended =
        command(&["--config", "yaml:exporters::store::retention: 1h", "--set", "exporters.store.max_bytes=1GiB"]);
    assert!(ended.status.success(), "{}", ended.stderr);
    let ended = command(&["--set", "exporters.store.max_byte=1GiB", "--config", "env:NO_SUCH_VARIABLE"]);
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("--set exporters.store.max_byte: unknown key `max_byte`"), "{}", ended.stderr);
    assert!(ended.stderr.contains("NO_SUCH_VARIABLE"), "{}", ended.stderr);
    let ended = command(&["--feature-gates", "-service.noopTracerProvider,+no.such.gate"]);
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(
        ended.stderr.trim(),
        "warning: --feature-gates: `no.such.gate` is not known to rootspan and has no effect"
    );
    assert!(!command(&["--set", "no value"]).status.success());
}

#[test]
fn the_log_goes_where_it_is_told() {
    let site = Site::new(Setup::default());
    let log = site.path("rootspan.log");
    let paths = format!("service.telemetry.logs.output_paths=[stderr, {}]", log.display());
    let process = Process::spawn(rootspan().arg("run").arg("--config").arg(site.config()).args(["--set", &paths]));
    process.wait_until_ready();
    process.stop();
    let text = std::fs::read_to_string(log).expect("it was written");
    assert!(text.contains("store open"), "{text}");
}

#[test]
fn print_config_shows_the_plan() {
    let site = Site::new(Setup::default());
    let printed = Process::spawn(rootspan().args(["print-config", "--plan", "--config"]).arg(site.config())).end();
    assert!(printed.status.success(), "{}", printed.stderr);
    for line in ["receiver otlp", "pipeline traces", "  from otlp", "  to store", "exporter store"] {
        assert!(printed.stdout.contains(line), "{line}: {}", printed.stdout);
    }
    let built_in = run(["print-config", "--plan"]);
    assert!(built_in.status.success(), "{}", built_in.stderr);
    for line in ["127.0.0.1:4317", "127.0.0.1:4318", "127.0.0.1:16686"] {
        assert!(built_in.stdout.contains(line), "{line}: {}", built_in.stdout);
    }
}

#[test]
fn print_config_shows_what_is_in_effect_and_no_secret() {
    let site = Site::new(Setup {
        cloudfront: true,
        ui: ", auth: {basic: {username: ops, password: open-sesame}}",
        ..Setup::default()
    });
    let print = |config: &Path, format: &str| {
        let ended = Process::spawn(rootspan().args(["print-config", "--format", format, "--config"]).arg(config)).end();
        assert!(ended.status.success(), "{}", ended.stderr);
        assert!(!ended.stdout.contains("open-sesame") && !ended.stdout.contains(ACCESS_KEY), "{}", ended.stdout);
        ended.stdout
    };
    let yaml = print(&site.config(), "yaml");
    for line in ["    password: \"[REDACTED]\"", "    retention: 72h", "        endpoint: 127.0.0.1:0"] {
        assert!(yaml.contains(line), "{line}: {yaml}");
    }
    let again = site.path("again.yaml");
    std::fs::write(&again, &yaml).expect("it can be written");
    assert_eq!(print(&again, "yaml"), yaml, "it loads, and means the same");
    std::fs::write(&again, print(&again, "json")).expect("it can be written");
    assert_eq!(print(&again, "yaml"), yaml);
}

#[test]
fn components_are_listed_for_people_and_as_the_collector_lists_them() {
    let text = run(["components"]).stdout;
    assert!(text.lines().any(|line| line.starts_with("exporters.otlp ") && line.contains("also otlp_grpc")), "{text}");
    let yaml = run(["components", "--format", "yaml"]).stdout;
    assert!(yaml.starts_with("buildinfo:\n  command: rootspan\n"), "{yaml}");
    assert!(yaml.contains("\n  - name: probabilistic_sampler\n"), "{yaml}");
    let json: serde_json::Value = serde_json::from_str(&run(["components", "--format", "json"]).stdout).expect("JSON");
    assert_eq!(json["receivers"][0]["name"], "otlp");
    assert_eq!(json["receivers"][0]["stability"]["traces"], "Beta");
}

/// docs/reference/configuration.md is printed by the program: `cargo xtask reference`.
#[test]
fn the_reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/configuration.md");
    let page = std::fs::read_to_string(path).expect("it is there");
    assert!(
        page.trim_end() == run(["components", "--reference"]).stdout.trim_end(),
        "stale: run `cargo xtask reference`"
    );
}

#[test]
fn components_lists_everything_with_its_keys() {
    let ended = run(["components", "--keys"]);
    assert!(ended.status.success());
    for name in [
        "receivers.otlp",
        "receivers.cloudfront",
        "processors.batch",
        "processors.memory_limiter",
        "exporters.store",
        "exporters.debug",
        "extensions.health_check",
        "extensions.ui",
        "service.telemetry",
    ] {
        assert!(ended.stdout.lines().any(|line| line == name), "{name}: {}", ended.stdout);
    }
    for key in ["seal_spans = 50000", "access_key", "allowed_hosts"] {
        assert!(ended.stdout.contains(key), "{key}");
    }
}

/// Each file of docs/examples: a gateway's configuration, or the settings of the edge function. The emulator's distribution is
/// read by a test of its own.
#[test]
fn every_example_loads() {
    let site = Site::new(Setup::default());
    let variables = [
        ("FIREHOSE_ACCESS_KEY", "key"),
        ("UI_PASSWORD", "password"),
        ("ROOTSPAN_DATA", "/tmp/data"),
        ("TEMPO_TOKEN", "token"),
        ("OTLPHTTP_PASSWORD", "password"),
    ];
    let mut names = Vec::new();
    for entry in std::fs::read_dir(examples()).expect("docs/examples is there") {
        let path = entry.expect("it can be read").path();
        let text = std::fs::read_to_string(&path).expect("it is text");
        if cfg!(not(feature = "aws")) && path.ends_with("s3.yaml") {
            let ended = validate(&path, &variables);
            assert!(ended.stderr.contains("this build has no S3 support (feature `aws`)"), "{}", ended.stderr);
            names.push("s3.yaml".to_owned());
            continue;
        }
        if text.contains("\nbehaviors:") {
            // A distribution; the emulator's tests load it.
            names.push(path.file_name().expect("a file").to_string_lossy().into_owned());
            continue;
        }
        let ended = if text.contains("\nservice:") {
            validate(&path, &variables)
        } else {
            Process::spawn(
                rootspan().args(["edge", "build", "--settings"]).arg(&path).arg("--out").arg(site.path("out")),
            )
            .end()
        };
        assert!(ended.status.success(), "{}: {}", path.display(), ended.stderr);
        assert_eq!(ended.stderr, "", "{}: no warnings", path.display());
        names.push(path.file_name().expect("a file").to_string_lossy().into_owned());
    }
    names.sort();
    let expected = [
        "beside.yaml",
        "distribution.yaml",
        "edge.yaml",
        "forward.yaml",
        "log-files.yaml",
        "production.yaml",
        "queues.yaml",
        "s3.yaml",
        "tls.yaml",
    ];
    assert_eq!(names, expected);
}

/// The example with everything set has every key of each component that it uses; those of the sections below are in the
/// reference.
#[test]
fn the_production_example_sets_every_key() {
    let text = std::fs::read_to_string(examples().join("production.yaml")).expect("it is there");
    let listed = run(["components", "--keys"]).stdout;
    let mut missing = Vec::new();
    let mut component = "";
    for line in listed.lines() {
        if !line.starts_with(' ') {
            component = line;
            continue;
        }
        if line.starts_with("    ") {
            continue;
        }
        let (section, kind) = component.split_once('.').expect("components have a section");
        let section = text.split_once(&format!("\n{section}:")).map_or("", |(_, rest)| rest);
        let section = section.split("\n\n").next().unwrap_or_default();
        if !section.contains(&format!("\n  {kind}:")) {
            continue;
        }
        let key = line.trim_start().split(' ').next().unwrap_or_default();
        let is_set = text.lines().any(|line| {
            let line = line.trim_start().trim_start_matches(['#', '-', ' ']);
            line.starts_with(&format!("{key}:"))
                || line.contains(&format!("{{{key}: "))
                || line.contains(&format!(", {key}: "))
        });
        if !is_set {
            missing.push(format!("{component} {key}"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
