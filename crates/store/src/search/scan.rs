//! Which traces of one block match, and when their latest matching span starts.
//!
//! Rows are narrowed condition by condition, each reading only its column and only near the rows that are left. What
//! the columns do not decide (an attribute in the overflow, a condition on several fields) is rebuilt and evaluated.

use std::ops::Range;

use bytes::Bytes;
use parquet::data_type::{BoolType, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use rootspan_traceql::compile::TraceFacts;
use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::field;
use rootspan_wire::otlp::view::Span;
use rootspan_wire::otlp::write;

use super::plan::{Condition, On, Plan};
use super::rows::{at, exact, near, pick, remembered, remembered_bytes, remembered_last, text};
use crate::block::Block;
use crate::block::index::{BlockIndex, KeyInfo, ValueType};
use crate::block::loose::assemble;
use crate::block::read::ColumnReader;
use crate::block::rebuild::{Wanted, rebuild};
use crate::block::schema::Leaf;
use crate::limits::Stop;
use crate::reading::Reading;

/// Rows that are rebuilt at once.
const REBUILD_ROWS: usize = 2048;

/// A matching trace of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) trace: usize,
    pub(crate) latest: u64,
}

/// What the whole trace says, for queries that ask; by position in the block's trace table.
pub(crate) type FactsOf<'f> = &'f dyn Fn(usize, &mut dyn FnMut(&TraceFacts<'_>) -> bool) -> Result<bool, Stop>;

/// Rows that may match.
struct Candidates {
    rows: Vec<u32>,
    /// Those that the columns do not decide.
    open: Vec<bool>,
}

impl Candidates {
    fn all(ranges: &[Range<u32>]) -> Self {
        let rows: Vec<u32> = ranges.iter().cloned().flatten().collect();
        Self { open: vec![false; rows.len()], rows }
    }

    /// Keeps rows by verdict, which may leave them open.
    fn retain(&mut self, mut verdict: impl FnMut(usize) -> Verdict) {
        let mut kept = 0;
        for position in 0..self.rows.len() {
            let verdict = verdict(position);
            if verdict == Verdict::No {
                continue;
            }
            self.rows[kept] = self.rows[position];
            self.open[kept] = self.open[position] || verdict == Verdict::Open;
            kept += 1;
        }
        self.rows.truncate(kept);
        self.open.truncate(kept);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Yes,
    No,
    Open,
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// Whether the block can have a match at all.
pub(crate) fn may_match(reading: &Reading<'_>, block: &Block, plan: &Plan) -> Result<bool, Stop> {
    if !plan.window.touches(block.entry.min_start, block.entry.max_start) {
        return Ok(false);
    }
    if plan.hashes.is_empty() {
        return Ok(true);
    }
    let filter = block.value_filter(reading.caches())?;
    Ok(plan.hashes.iter().all(|hash| filter.may_contain(*hash)))
}

/// Traces of `block` with a match; of these `traces` only, if given.
pub(crate) fn scan(
    reading: &Reading<'_>,
    block: &Block,
    index: &BlockIndex,
    plan: &Plan,
    traces: Option<&[usize]>,
    facts: FactsOf<'_>,
) -> Result<Vec<Match>, Stop> {
    let is_inside = plan.window.covers(block.entry.min_start, block.entry.max_start);
    if plan.conditions.is_empty() && plan.is_complete && is_inside {
        let all = || 0..index.traces.len();
        let latest =
            |trace| Ok(Match { trace, latest: index.traces.latest_start(trace).map_err(|e| reading_error(block, e))? });
        return match traces {
            Some(traces) => traces.iter().copied().map(latest).collect(),
            None => all().map(latest).collect(),
        };
    }
    let ranges: Vec<Range<u32>> = match traces {
        Some(traces) => traces.iter().map(|trace| index.traces.rows(*trace)).collect(),
        None => std::iter::once(0..u32::try_from(block.entry.spans).unwrap_or(u32::MAX)).collect(),
    };
    let columns = ColumnReader::open(block, reading.caches(), reading.guard)?;
    let mut candidates = Candidates::all(&ranges);
    let scan = Scan { columns, index };
    for condition in &plan.conditions {
        if candidates.rows.is_empty() {
            return Ok(Vec::new());
        }
        reading.guard.check()?;
        scan.apply(condition, &mut candidates)?;
    }
    let mut starts = scan.starts(&candidates.rows)?;
    if !is_inside {
        let window = &plan.window;
        let inside: Vec<bool> = starts.iter().map(|start| window.contains(*start)).collect();
        candidates.retain(|position| inside[position].into());
        starts.retain(|start| window.contains(*start));
    }
    scan.decide(plan, &candidates, &starts, facts)
}

fn reading_error(block: &Block, error: crate::codec::Malformed) -> Stop {
    Stop::Block(block.malformed(&error))
}

struct Scan<'a> {
    columns: ColumnReader<'a>,
    index: &'a BlockIndex,
}

impl Scan<'_> {
    fn apply(&self, condition: &Condition, candidates: &mut Candidates) -> Result<(), Stop> {
        match &condition.on {
            On::Resource => self.by_resource(condition, candidates),
            On::Status => {
                let codes = self.optional::<Int32Type>(Leaf::Status as usize, &candidates.rows)?;
                let mut verdict = remembered(|code: &Option<i32>| {
                    condition.of_span(Span { status_number: code.unwrap_or(0), ..Span::default() })
                });
                candidates.retain(|position| verdict(&codes[position]).into());
                Ok(())
            }
            On::Kind => {
                let kinds = self.required::<Int32Type>(Leaf::Kind as usize, &candidates.rows)?;
                let mut verdict =
                    remembered(|kind: &i32| condition.of_span(Span { kind_number: *kind, ..Span::default() }));
                candidates.retain(|position| verdict(&kinds[position]).into());
                Ok(())
            }
            On::Duration => {
                let durations = self.required::<Int64Type>(Leaf::Duration as usize, &candidates.rows)?;
                candidates.retain(|position| condition.of_duration(durations[position].cast_unsigned()).into());
                Ok(())
            }
            On::Name => {
                let names = self.required::<ByteArrayType>(Leaf::Name as usize, &candidates.rows)?;
                let mut verdict =
                    remembered_bytes(|name| condition.of_span(Span { name: text(name), ..Span::default() }));
                candidates.retain(|position| verdict(names[position].data()).into());
                Ok(())
            }
            On::Attribute { key, or_resource } => self.by_attribute(condition, key, *or_resource, candidates),
            // Decided per trace, at the end.
            On::Trace => Ok(()),
        }
    }

    fn resource_verdicts(&self, condition: &Condition) -> Vec<bool> {
        let verdict =
            |resource: &crate::block::index::Surrounding| condition.of_resource(&resource.bytes, &resource.schema_url);
        self.index.resources.iter().map(verdict).collect()
    }

    fn by_resource(&self, condition: &Condition, candidates: &mut Candidates) -> Result<(), Stop> {
        let verdicts = self.resource_verdicts(condition);
        if verdicts.iter().all(|holds| *holds) {
            return Ok(());
        }
        if !verdicts.contains(&true) {
            candidates.retain(|_| Verdict::No);
            return Ok(());
        }
        let resources = self.required::<Int32Type>(Leaf::Resource as usize, &candidates.rows)?;
        candidates.retain(|position| at(&verdicts, resources[position]).into());
        Ok(())
    }

    fn by_attribute(
        &self,
        condition: &Condition,
        key: &str,
        or_resource: bool,
        candidates: &mut Candidates,
    ) -> Result<(), Stop> {
        let rows = &candidates.rows;
        let info = match self.index.keys.get(key) {
            Some(info) => *info,
            None => KeyInfo { column: None, in_rare: false, in_overflow: self.index.keys_incomplete },
        };
        // Absent everywhere unless something below says otherwise.
        let mut verdicts: Vec<Option<bool>> = match info.column {
            Some((leaf, value_type)) => self.column_verdicts(condition, key, leaf as usize, value_type, rows)?,
            None => vec![None; rows.len()],
        };
        if info.in_rare {
            self.rare_verdicts(condition, key, rows, &mut verdicts)?;
        }
        let overflow =
            if info.in_overflow { self.optional::<ByteArrayType>(Leaf::Overflow as usize, rows)? } else { Vec::new() };
        let mut absent = vec![condition.of_span(Span::default())];
        let mut resources = Vec::new();
        if or_resource && verdicts.contains(&None) {
            absent = self.resource_verdicts(condition);
            resources = self.required::<Int32Type>(Leaf::Resource as usize, rows)?;
        }
        candidates.retain(|position| {
            let holds =
                verdicts[position].unwrap_or_else(|| at(&absent, resources.get(position).copied().unwrap_or_default()));
            let is_in_doubt = overflow.get(position).is_some_and(Option::is_some);
            match (holds, verdicts[position], is_in_doubt) {
                // The overflow may hold a value where the columns have none, or a second one.
                (_, None, true) | (false, Some(_), true) => Verdict::Open,
                (holds, _, _) => holds.into(),
            }
        });
        Ok(())
    }

    /// For each row what the key's own column says.
    fn column_verdicts(
        &self,
        condition: &Condition,
        key: &str,
        leaf: usize,
        value_type: ValueType,
        rows: &[u32],
    ) -> Result<Vec<Option<bool>>, Stop> {
        fn verdicts<T: Clone + PartialEq>(values: Vec<Option<T>>, ask: impl FnMut(&T) -> bool) -> Vec<Option<bool>> {
            let mut ask = remembered_last(ask);
            values.into_iter().map(|value| value.map(|value| ask(&value))).collect()
        }
        let mut buffer = Vec::new();
        let mut ask = |put: &dyn Fn(&mut Vec<u8>)| {
            buffer.clear();
            put(&mut buffer);
            condition.of_span(Span { bytes: &buffer, ..Span::default() })
        };
        const FIELD: u32 = field::span::ATTRIBUTES;
        Ok(match value_type {
            ValueType::String => {
                let values = self.optional::<ByteArrayType>(leaf, rows)?;
                let mut ask = remembered_bytes(|value| ask(&|out| write::put_attribute(out, FIELD, key, text(value))));
                values.into_iter().map(|value| value.map(|value| ask(value.data()))).collect()
            }
            ValueType::Int => verdicts(self.optional::<Int64Type>(leaf, rows)?, |value| {
                ask(&|out| write::put_attribute(out, FIELD, key, *value))
            }),
            ValueType::Double => verdicts(self.optional::<DoubleType>(leaf, rows)?, |value| {
                ask(&|out| write::put_attribute(out, FIELD, key, *value))
            }),
            ValueType::Bool => verdicts(self.optional::<BoolType>(leaf, rows)?, |value| {
                ask(&|out| write::put_attribute(out, FIELD, key, *value))
            }),
        })
    }

    /// Fills in what the map of rare attributes says.
    fn rare_verdicts(
        &self,
        condition: &Condition,
        key: &str,
        rows: &[u32],
        verdicts: &mut [Option<bool>],
    ) -> Result<(), Stop> {
        let ranges = near(rows);
        let keys = self.columns.read::<ByteArrayType>(Leaf::RareKey as usize, &ranges)?;
        let values = self.columns.read::<ByteArrayType>(Leaf::RareValue as usize, &ranges)?.values;
        let mut all_rows = ranges.iter().cloned().flatten();
        let (mut row, mut entry, mut position) = (0, 0, 0);
        for (definition, repetition) in keys.definition.iter().zip(&keys.repetition) {
            if *repetition == 0 {
                row = all_rows.next().unwrap_or(u32::MAX);
            }
            if *definition < 2 {
                continue;
            }
            let (Some(found), Some(value)) = (keys.values.get(entry), values.get(entry)) else { break };
            entry += 1;
            while rows.get(position).is_some_and(|wanted| *wanted < row) {
                position += 1;
            }
            if rows.get(position) == Some(&row) && found.data() == key.as_bytes() && verdicts[position].is_none() {
                let mut buffer = Vec::new();
                write::put_attribute(&mut buffer, field::span::ATTRIBUTES, key, text(value.data()));
                verdicts[position] = Some(condition.of_span(Span { bytes: &buffer, ..Span::default() }));
            }
        }
        Ok(())
    }

    /// Absolute starts of rows.
    fn starts(&self, rows: &[u32]) -> Result<Vec<u64>, Stop> {
        let relative = self.required::<Int64Type>(Leaf::Start as usize, rows)?;
        let mut trace = 0;
        let absolute = |(row, start): (&u32, i64)| {
            trace = self.index.traces.trace_of(*row, trace);
            self.index.traces.start(trace).wrapping_add(start.cast_unsigned())
        };
        Ok(rows.iter().zip(relative).map(absolute).collect())
    }

    /// Evaluates what is open and gives each trace's latest match.
    fn decide(
        &self,
        plan: &Plan,
        candidates: &Candidates,
        starts: &[u64],
        facts: FactsOf<'_>,
    ) -> Result<Vec<Match>, Stop> {
        let mut matches: Vec<Match> = Vec::new();
        let mut open: Vec<(u32, u64, usize)> = Vec::new();
        let trace_conditions: Vec<&Condition> =
            plan.conditions.iter().filter(|condition| condition.on == On::Trace).collect();
        let mut trace = 0;
        // Verdict of the trace's own conditions, asked once per trace.
        let mut asked: Option<(usize, bool)> = None;
        for (position, row) in candidates.rows.iter().enumerate() {
            trace = self.index.traces.trace_of(*row, trace);
            if !trace_conditions.is_empty() {
                let holds = match asked {
                    Some((same, holds)) if same == trace => holds,
                    _ => facts(trace, &mut |facts| trace_conditions.iter().all(|condition| condition.of_trace(facts)))?,
                };
                asked = Some((trace, holds));
                if !holds {
                    continue;
                }
            }
            if candidates.open[position] || !plan.is_complete {
                open.push((*row, starts[position], trace));
            } else {
                enter(&mut matches, trace, starts[position]);
            }
        }
        for chunk in open.chunks(REBUILD_ROWS) {
            self.evaluate(plan, chunk, &mut matches, facts)?;
        }
        matches.sort_unstable_by_key(|found| found.trace);
        matches.dedup_by(|later, kept| {
            let is_same = later.trace == kept.trace;
            if is_same {
                kept.latest = kept.latest.max(later.latest);
            }
            is_same
        });
        Ok(matches)
    }

    /// Rebuilds spans and asks the whole query.
    fn evaluate(
        &self,
        plan: &Plan,
        open: &[(u32, u64, usize)],
        matches: &mut Vec<Match>,
        facts: FactsOf<'_>,
    ) -> Result<(), Stop> {
        let rows: Vec<u32> = open.iter().map(|(row, _, _)| *row).collect();
        let spans = rebuild(&self.columns, self.index, &exact(&rows), Wanted::Keys(&plan.keys))?;
        let (bytes, order): (Bytes, Vec<usize>) = assemble(&spans);
        let batch =
            TraceBatch::from_trusted(bytes).map_err(|_| self.columns.malformed("rows do not make a valid request"))?;
        for (span, position) in batch.spans().zip(order) {
            let (_, start, trace) = open[position];
            let holds = if plan.uses_trace() {
                facts(trace, &mut |facts| plan.whole.matches(&span, facts))?
            } else {
                plan.whole.matches(&span, &TraceFacts::default())
            };
            if holds {
                enter(matches, trace, start);
            }
        }
        Ok(())
    }

    fn required<T: DataType>(&self, leaf: usize, rows: &[u32]) -> Result<Vec<T::T>, Stop> {
        let ranges = near(rows);
        let values = self.columns.read::<T>(leaf, &ranges)?.values;
        Ok(pick(&ranges, rows, values.into_iter()))
    }

    fn optional<T: DataType>(&self, leaf: usize, rows: &[u32]) -> Result<Vec<Option<T::T>>, Stop> {
        let ranges = near(rows);
        let column = self.columns.read::<T>(leaf, &ranges)?;
        let mut values = column.values.into_iter();
        let slots = column.definition.into_iter().map(|level| if level > 0 { values.next() } else { None });
        Ok(pick(&ranges, rows, slots))
    }
}

fn enter(matches: &mut Vec<Match>, trace: usize, start: u64) {
    match matches.last_mut() {
        Some(last) if last.trace == trace => last.latest = last.latest.max(start),
        _ => matches.push(Match { trace, latest: start }),
    }
}
