//! Who may be connected with whom: what each component carries, and connectors, which lead from pipeline to pipeline.

use std::collections::BTreeMap;

use rootspan_wire::otlp::payload::Signal;

use super::components::{BuiltIn, Component, Connector, Exporter, Processor, Receiver};
use super::id::ComponentId;
use super::problems::Problems;
use super::service::{Pipeline, Reference};

/// The defined components.
pub(super) struct Defined<'a> {
    pub(super) receivers: &'a BTreeMap<ComponentId, Receiver>,
    pub(super) processors: &'a BTreeMap<ComponentId, Processor>,
    pub(super) exporters: &'a BTreeMap<ComponentId, Exporter>,
    pub(super) connectors: &'a BTreeMap<ComponentId, Connector>,
}

/// Adds everything that is wrong with how `pipelines` connect what is defined.
pub(super) fn check(pipelines: &[Pipeline], defined: &Defined<'_>, problems: &mut Problems) {
    for pipeline in pipelines {
        check_signal(pipeline, &pipeline.receivers, defined.receivers, problems);
        check_signal(pipeline, &pipeline.processors, defined.processors, problems);
        check_signal(pipeline, &pipeline.exporters, defined.exporters, problems);
    }
    for id in defined.connectors.keys() {
        check_ends(id, pipelines, problems);
    }
    check_cycles(pipelines, defined, problems);
}

/// Whether all components of a list carry the pipeline's signal.
fn check_signal<C: Component>(
    pipeline: &Pipeline,
    references: &[Reference],
    defined: &BTreeMap<ComponentId, C>,
    problems: &mut Problems,
) {
    for (id, position) in references {
        let Some(component) = defined.get(id) else { continue };
        let Some(signals) = signals::<C>(&id.kind) else { continue };
        if !signals.contains(&pipeline.signal) {
            let (noun, carried) = (C::NOUN, names(signals));
            let message =
                format!("the {noun} `{id}` cannot be in the pipeline `{}`: it carries {carried} only", pipeline.id);
            problems.error(position, message);
        } else if let Some(reason) = component.unfit_for(pipeline.signal) {
            let (noun, pipeline) = (C::NOUN, &pipeline.id);
            problems.error(position, format!("the {noun} `{id}` cannot be in the pipeline `{pipeline}`: {reason}"));
        }
    }
}

/// What components of a type carry.
fn signals<C: Component>(kind: &str) -> Option<&'static [Signal]> {
    let is_it = |built_in: &&BuiltIn| built_in.kinds().any(|own| own == kind);
    C::BUILT_IN.iter().find(is_it).map(|built_in| built_in.signals)
}

fn names(signals: &[Signal]) -> String {
    signals.iter().map(|signal| signal.name()).collect::<Vec<_>>().join(" and ")
}

/// A connector that is used has both ends, for each signal.
fn check_ends(id: &ComponentId, pipelines: &[Pipeline], problems: &mut Problems) {
    for signal in Signal::ALL {
        let of_signal = || pipelines.iter().filter(|pipeline| pipeline.signal == signal);
        let find = |list: fn(&Pipeline) -> &[Reference]| {
            of_signal().find_map(|pipeline| list(pipeline).iter().find(|(used, _)| used == id))
        };
        let as_exporter = find(|pipeline| &pipeline.exporters);
        let as_receiver = find(|pipeline| &pipeline.receivers);
        let (position, missing) = match (as_exporter, as_receiver) {
            (Some((_, position)), None) => (position, "receiver"),
            (None, Some((_, position))) => (position, "exporter"),
            (Some(_), Some(_)) | (None, None) => continue,
        };
        let (have, name) = (if missing == "receiver" { "exporter" } else { "receiver" }, signal.name());
        let message = format!(
            "the connector `{id}` is used as {have} of {name} pipelines, but no {name} pipeline has it as {missing}: it \
             must be both"
        );
        problems.error(position, message);
    }
}

/// Pipelines must not lead back into themselves.
fn check_cycles(pipelines: &[Pipeline], defined: &Defined<'_>, problems: &mut Problems) {
    let next = |from: usize| -> Vec<(&ComponentId, usize)> {
        let connectors = pipelines[from].exporters.iter().filter(|(id, _)| defined.connectors.contains_key(id));
        let into = |id: &ComponentId, pipeline: &Pipeline| {
            pipeline.signal == pipelines[from].signal && pipeline.receivers.iter().any(|(used, _)| used == id)
        };
        let targets = |(id, _): &'_ Reference| -> Vec<usize> {
            (0..pipelines.len()).filter(|to| into(id, &pipelines[*to])).collect()
        };
        connectors.flat_map(|reference| targets(reference).into_iter().map(|to| (&reference.0, to))).collect()
    };
    let mut is_done = vec![false; pipelines.len()];
    for start in 0..pipelines.len() {
        // Depth first, without recursion: the way so far, and what is left to try at each step.
        let mut way: Vec<(usize, Option<&ComponentId>)> = vec![(start, None)];
        let mut left = vec![next(start)];
        while let Some(untried) = left.last_mut() {
            let Some((connector, to)) = untried.pop() else {
                left.pop();
                if let Some((done, _)) = way.pop() {
                    is_done[done] = true;
                }
                continue;
            };
            if let Some(begin) = way.iter().position(|(pipeline, _)| *pipeline == to) {
                let mut path = String::new();
                for (pipeline, by) in &way[begin..] {
                    if !path.is_empty() {
                        path += &by.map(|by| format!(" → {by} → ")).unwrap_or_default();
                    }
                    path += &pipelines[*pipeline].id.to_string();
                }
                path += &format!(" → {connector} → {}", pipelines[to].id);
                problems.error(&pipelines[to].position, format!("the pipelines lead in a circle: {path}"));
            } else if !is_done[to] {
                way.push((to, Some(connector)));
                left.push(next(to));
            }
        }
    }
}

#[cfg(test)]
mod tests;
