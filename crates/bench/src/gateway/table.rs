//! The tables of docs/benchmarks.md.

use super::compare::{CASES, Cell, Figures};
use super::failure::{DeadFigures, KILL, KillFigures};

/// What a gateway costs.
pub(super) fn costs(cells: &[Cell], systems: &[String]) -> String {
    let mut text = format!("| CPU µs/span | {} | × floor | otelcol ÷ | to reach |\n", systems.join(" | "));
    text += &format!("|---|{}---|---|---|\n", "---|".repeat(systems.len()));
    for case in CASES {
        let of = |system: &str| median_of(cells, case.name, system, |figures| figures.cpu_micros);
        if systems.iter().all(|system| of(system).is_none()) {
            continue;
        }
        let columns: Vec<String> = systems.iter().map(|system| shown(of(system), 2)).collect();
        let ratio =
            |above: Option<f64>, below: Option<f64>| shown(above.zip(below).map(|(above, below)| above / below), 2);
        let (rootspan, floor, otelcol) = (of("rootspan"), of("floor"), of("otelcol"));
        text += &format!(
            "| {} | {} | {} | {} | {} |\n",
            case.name,
            columns.join(" | "),
            ratio(rootspan, floor),
            ratio(otelcol, rootspan),
            case.aim
        );
        if let Some(base) = case.base {
            let more = |system: &String| {
                let base = median_of(cells, base, system, |figures| figures.cpu_micros);
                of(system).zip(base).map_or("–".to_owned(), |(with, without)| format!("{:+.2}", with - without))
            };
            let columns: Vec<String> = systems.iter().map(more).collect();
            text += &format!("| … more than `{base}` | {} | | | |\n", columns.join(" | "));
        }
    }
    text
}

/// Memory, start and acknowledgement of the first case; merging and compression where there is any.
pub(super) fn details(cells: &[Cell]) -> String {
    let mut text = "| | system | idle MiB | peak MiB | start → first span, ms | ack p99, ms | compressed to 1/ | zlib −6: 1/ | spans a request upstream |\n|---|---|---|---|---|---|---|---|---|\n".to_owned();
    for cell in cells {
        let of = |figure: fn(&Figures) -> f64| shown(median(cell.runs.iter().map(figure).collect()), 1);
        text += &format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            cell.case,
            cell.system,
            of(|figures| figures.idle_mib),
            of(|figures| figures.peak_mib),
            of(|figures| figures.first_span_millis),
            of(|figures| figures.ack_p99_millis),
            shown(median(cell.runs.iter().map(|figures| figures.ratio).collect()), 2),
            shown(median(cell.runs.iter().map(|figures| figures.zlib_ratio).collect()), 2),
            of(|figures| figures.spans_per_call),
        );
    }
    text
}

/// Dead back ends.
pub(super) fn dead(rows: &[DeadFigures]) -> String {
    let mut text = "| | system | peak MiB | accepted | refused | … with a delay | on disk, MiB | accepted but lost | drained in s |\n|---|---|---|---|---|---|---|---|---|\n".to_owned();
    for row in rows {
        text += &format!(
            "| {} | {} | {:.0} | {} | {} | {} | {:.0} | {} | {:.1} |\n",
            row.case,
            row.system,
            row.peak_mib,
            row.accepted,
            row.refused,
            row.refused_with_delay,
            row.disk_mib,
            row.lost,
            row.drained_seconds
        );
    }
    text
}

/// Kills.
pub(super) fn kills(rows: &[KillFigures]) -> String {
    let mut text = format!(
        "| {KILL} | kills | accepted | lost | came again | restart → first span, median / longest, ms |\n|---|---|---|---|---|---|\n"
    );
    for row in rows {
        let (middle, longest) = row.restart_millis;
        text += &format!(
            "| {} | {} | {} | {} | {} | {middle:.0} / {longest:.0} |\n",
            row.system, row.kills, row.accepted, row.lost, row.again
        );
    }
    text
}

fn median_of(cells: &[Cell], case: &str, system: &str, figure: fn(&Figures) -> f64) -> Option<f64> {
    let cell = cells.iter().find(|cell| cell.case == case && cell.system == system)?;
    median(cell.runs.iter().map(figure).collect())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    // An even number has two in the middle.
    Some(if values.len().is_multiple_of(2) { f64::midpoint(values[middle - 1], upper) } else { upper })
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
}
