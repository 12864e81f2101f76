//! The exporters with what delivers to them: settings, queues on disk, tasks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rootspan_journal::directory::files::FilesDirectory;
use rootspan_wire::otlp::payload::Signal;
use tokio::sync::mpsc;

use super::delivery::state::DeliveryState;
use super::delivery::storage::{self, DeadLetterLimits, Hands, Storage};
use super::delivery::{self, Outlet, Scatter, Settings};
use super::pipeline::Item;
use super::servers::{Referred, referred};
use super::{Environment, StartError};
use crate::ack::{Outcome, Refusal};
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::components::{Exporter as ExporterConfig, Extension};
use crate::config::id::{ComponentId, ExtensionReference};
use crate::exporters::debug::{DebugExporter, standard_output};
use crate::exporters::file::FileExporter;
use crate::exporters::otlp::grpc::OtlpGrpcExporter;
use crate::exporters::otlp::http::OtlpHttpExporter;
use crate::exporters::store::StoreExporter;
use crate::exporters::{Exporter, Surroundings};
use crate::extensions::file_storage::FileStorageConfig;
use crate::files;
use crate::ledger::{ExporterIndex, Ledger, RefusalReason};
use crate::plan::{Plan, PlannedExporter};
use crate::processors::BatchConfig;
use crate::tasks::{self, Task};

/// Deliveries that run, in the order of the plan's exporters.
#[cfg(test)]
pub(crate) struct Outlets {
    pub(crate) tasks: Vec<Task>,
    pub(crate) inputs: Vec<mpsc::Sender<Item>>,
    pub(crate) states: Vec<Arc<DeliveryState>>,
}

/// What an exporter and its delivery are made from.
#[derive(Clone, PartialEq)]
pub(super) struct OutletKey {
    id: ComponentId,
    signal: Signal,
    config: ExporterConfig,
    merging: Option<BatchConfig>,
    referred: Referred,
}

impl OutletKey {
    pub(super) fn of(plan: &Plan, index: usize) -> Self {
        let planned = &plan.exporters[index];
        Self {
            id: planned.id.clone(),
            signal: planned.signal,
            config: planned.config.clone(),
            merging: plan.merging_before(ExporterIndex(index)).cloned(),
            referred: referred(plan, &planned.config.extensions()),
        }
    }
}

/// An exporter with its delivery, running.
pub(super) struct OutletPart {
    pub(super) key: OutletKey,
    exporter: Arc<dyn Exporter>,
    /// Of its queue on disk.
    pub(super) folder: Option<PathBuf>,
    pub(super) input: mpsc::Sender<Item>,
    pub(super) state: Arc<DeliveryState>,
    pub(super) task: Task,
}

/// Where an exporter queues.
pub(super) enum Queueing {
    /// In memory, or not at all.
    Memory,
    /// On disk.
    Disk(Box<(PathBuf, Storage)>),
    /// On disk, where another exporter has to end first.
    After(Opening),
}

impl Queueing {
    /// The folder that another exporter still has.
    pub(super) fn awaited_folder(&self) -> Option<&PathBuf> {
        match self {
            Self::After(opening) => Some(&opening.folder),
            Self::Memory | Self::Disk(_) => None,
        }
    }
}

/// A queue on disk that is about to be opened.
pub(super) struct Opening {
    id: String,
    folder: PathBuf,
    config: FileStorageConfig,
    account: (Arc<Ledger>, ExporterIndex),
    clock: Clock,
}

impl Opening {
    /// The queue of an exporter of the plan; `None` if it has none on disk.
    pub(super) fn of(plan: &Plan, index: usize, account: (Arc<Ledger>, ExporterIndex), clock: &Clock) -> Option<Self> {
        let planned = &plan.exporters[index];
        let config = file_storage(plan, planned)?.clone();
        let id = planned.id.to_string();
        Some(Self { folder: config.folder(&id, planned.signal), id, config, account, clock: Arc::clone(clock) })
    }

    pub(super) fn folder(&self) -> &PathBuf {
        &self.folder
    }

    /// Opens it.
    pub(super) async fn open(self) -> Result<(PathBuf, Storage), StartError> {
        let Self { id, folder, config, account, clock } = self;
        let shown = folder.display().to_string();
        let (exporter, path, folder_shown) = (id.clone(), folder.clone(), shown.clone());
        let open = move || open_storage(&path, exporter, folder_shown, &config, account, clock);
        let opened = tasks::blocking("opening a queue on disk", open).await;
        let opened = opened.unwrap_or_else(|| Err("it failed; the log says how".to_owned()));
        let storage = opened.map_err(|reason| StartError::Storage { id, folder: shown, reason })?;
        Ok((folder, storage))
    }
}

fn open_storage(
    folder: &Path,
    exporter: String,
    shown: String,
    config: &FileStorageConfig,
    account: (Arc<Ledger>, ExporterIndex),
    clock: Clock,
) -> Result<Storage, String> {
    prepare(config)?;
    let directory = FilesDirectory::open(folder).map_err(|error| storage::describe(&error))?;
    let settings =
        storage::Settings { exporter, folder: shown, hands: Hands::Blocking, ..storage::Settings::of(config) };
    Storage::open(Arc::new(directory), settings, account, clock).map_err(|error| error.to_string())
}

/// Makes sure that the folder of a storage is there.
pub(super) fn prepare(config: &FileStorageConfig) -> Result<(), String> {
    let permissions = config.create_directory.then_some(config.directory_permissions.0);
    files::prepare_folder(Path::new(&config.directory), permissions)
}

impl storage::Settings {
    /// As configured, in an unnamed folder in memory.
    pub(crate) fn of(config: &FileStorageConfig) -> Self {
        let dead_letters =
            DeadLetterLimits { max_bytes: config.dead_letter_max_bytes.0, retention: config.dead_letter_retention };
        Self {
            exporter: String::new(),
            folder: String::new(),
            min_free_percent: config.min_free_percent,
            dead_letters,
            segment_bytes: storage::SEGMENT_BYTES,
            hands: Hands::Inline,
        }
    }
}

/// The extension that keeps an exporter's queue, if that is on disk.
pub(crate) fn file_storage<'a>(plan: &'a Plan, planned: &PlannedExporter) -> Option<&'a FileStorageConfig> {
    let queue = planned.config.sending_queue().filter(|queue| queue.enabled)?;
    storage_of(plan, queue.storage.as_ref())
}

/// The extension that a reference to a storage names.
pub(crate) fn storage_of<'a>(plan: &'a Plan, reference: Option<&ExtensionReference>) -> Option<&'a FileStorageConfig> {
    let id: &ComponentId = &reference?.id;
    let extension = plan.extensions.iter().find(|(extension, _)| extension == id);
    extension
        .and_then(|(_, extension)| if let Extension::FileStorage(config) = extension { Some(config) } else { None })
}

/// What every delivery is given.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) budget: Arc<Budget>,
    pub(crate) scatter: Scatter,
    pub(crate) clock: Clock,
}

/// Starts delivery to one exporter. If its queue is one that `before` still has, it begins when that has ended; until then
/// batches wait in front of it.
pub(super) fn start_one(
    plan: &Plan,
    index: usize,
    (exporter, queueing): (Arc<dyn Exporter>, Queueing),
    before: Option<Task>,
    shared: Shared,
) -> OutletPart {
    let planned = &plan.exporters[index];
    let settings = settings(plan, index);
    let capacity = settings.limit.map(|limit| (limit.size, limit.sizer));
    let state = DeliveryState::new(planned.id.to_string(), planned.signal, capacity, settings.consumers);
    let (sender, input) = mpsc::channel(delivery::WAITING_BATCHES);
    let Shared { budget, scatter, clock } = shared;
    let kept = Arc::clone(&exporter);
    let mut outlet = Outlet { exporter, settings, budget, scatter, clock, state: Arc::clone(&state), storage: None };
    let (folder, task) = match queueing {
        Queueing::Memory => (None, tasks::start("delivery", delivery::run(input, outlet))),
        Queueing::Disk(opened) => {
            let (folder, storage) = *opened;
            outlet.storage = Some(storage);
            (Some(folder), tasks::start("delivery", delivery::run(input, outlet)))
        }
        Queueing::After(opening) => {
            let folder = opening.folder.clone();
            (Some(folder), tasks::start("delivery", run_after(before, opening, input, outlet)))
        }
    };
    OutletPart { key: OutletKey::of(plan, index), exporter: kept, folder, input: sender, state, task }
}

/// Waits for the end of the delivery that has the queue, opens it, and delivers.
async fn run_after(before: Option<Task>, opening: Opening, mut input: mpsc::Receiver<Item>, mut outlet: Outlet) {
    if let Some(mut before) = before {
        // What is on disk stays there: it has only to end what is on the way.
        before.join().await;
    }
    match opening.open().await {
        Ok((_, storage)) => {
            outlet.storage = Some(storage);
            delivery::run(input, outlet).await;
        }
        Err(error) => {
            tracing::error!(%error, "the exporter takes nothing: reload or restart when it is put right");
            while let Some(item) = input.recv().await {
                let message = "the exporter's queue cannot be opened; try again later";
                let refusal = Refusal::retry(RefusalReason::Unavailable, message, delivery::QUEUE_RETRY);
                item.ack.settle(Outcome::Refused(refusal));
            }
        }
    }
}

fn settings(plan: &Plan, index: usize) -> Settings {
    let batch = plan.merging_before(ExporterIndex(index));
    match &plan.exporters[index].config {
        ExporterConfig::Store(_) | ExporterConfig::Debug(_) => Settings::DIRECT,
        // One after the other: that is how they are in the file.
        ExporterConfig::File(_) => Settings { consumers: 1, ..Settings::DIRECT },
        ExporterConfig::OtlpGrpc(config) => Settings::new(&config.sending_queue, &config.retry_on_failure, batch),
        ExporterConfig::OtlpHttp(config) => Settings::new(&config.sending_queue, &config.retry_on_failure, batch),
    }
}

/// Makes an exporter.
pub(super) fn build_exporter(
    planned: &PlannedExporter,
    environment: &Environment,
    surroundings: &Surroundings,
) -> Result<Arc<dyn Exporter>, StartError> {
    let (id, signal) = (planned.id.to_string(), planned.signal);
    match &planned.config {
        ExporterConfig::Store(config) => {
            let store = environment.stores.get(&config.directory);
            let store = store.ok_or_else(|| StartError::NoStore(config.directory.clone()))?;
            Ok(Arc::new(StoreExporter::new(store.clone(), config.directory.clone())))
        }
        ExporterConfig::Debug(config) => {
            let output = environment.debug_output.clone().unwrap_or_else(standard_output);
            Ok(Arc::new(DebugExporter::new(id, config, output)))
        }
        ExporterConfig::File(config) => {
            let exporter = FileExporter::open(config, Arc::clone(&environment.clock));
            let exporter = exporter.map_err(|reason| StartError::File { id, reason })?;
            Ok(Arc::new(exporter))
        }
        ExporterConfig::OtlpGrpc(config) => {
            let exporter = OtlpGrpcExporter::new(&format!("the exporter {id}"), config, signal, surroundings);
            Ok(Arc::new(exporter.map_err(|reason| StartError::Tls { id, reason })?))
        }
        ExporterConfig::OtlpHttp(config) => {
            let exporter = OtlpHttpExporter::new(&format!("the exporter {id}"), config, signal, surroundings);
            Ok(Arc::new(exporter.map_err(|reason| StartError::Tls { id, reason })?))
        }
    }
}

/// Whether both are one file, for two signals.
pub(super) fn is_same_file(one: &PlannedExporter, other: &PlannedExporter) -> bool {
    one.id == other.id && matches!(other.config, ExporterConfig::File(_))
}

/// The exporter that has the file open, if there is one with the same settings. With others it cannot be opened: it is
/// still being written.
pub(super) fn open_file(
    planned: &PlannedExporter,
    running: &[OutletPart],
) -> Result<Option<Arc<dyn Exporter>>, StartError> {
    let ExporterConfig::File(config) = &planned.config else { return Ok(None) };
    let is_open =
        |part: &&OutletPart| matches!(&part.key.config, ExporterConfig::File(open) if open.path == config.path);
    match running.iter().find(is_open) {
        Some(part) if part.key.config == planned.config => Ok(Some(Arc::clone(&part.exporter))),
        Some(_) => {
            let reason = format!("{}: it is open with other settings; restart to change them", config.path);
            Err(StartError::File { id: planned.id.to_string(), reason })
        }
        None => Ok(None),
    }
}

/// Starts delivery to every exporter of the plan: what the simulation has in the place of a running gateway's parts.
#[cfg(test)]
pub(crate) fn start(
    plan: &Plan,
    exporters: Vec<(Arc<dyn Exporter>, Option<Storage>)>,
    budget: &Arc<Budget>,
    scatter: &Scatter,
    clock: &Clock,
) -> Outlets {
    let shared = Shared { budget: Arc::clone(budget), scatter: scatter.clone(), clock: Arc::clone(clock) };
    let mut outlets = Outlets { tasks: Vec::new(), inputs: Vec::new(), states: Vec::new() };
    for (index, (exporter, storage)) in exporters.into_iter().enumerate() {
        let queueing = storage.map_or(Queueing::Memory, |storage| Queueing::Disk(Box::new((PathBuf::new(), storage))));
        let part = start_one(plan, index, (exporter, queueing), None, shared.clone());
        outlets.tasks.push(part.task);
        outlets.inputs.push(part.input);
        outlets.states.push(part.state);
    }
    outlets
}
