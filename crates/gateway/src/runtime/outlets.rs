//! The exporters with what delivers to them: settings, queues on disk, tasks.

use std::path::Path;
use std::sync::Arc;

use rootspan_journal::directory::files::FilesDirectory;
use tokio::sync::mpsc;

use super::StartError;
use super::delivery::state::DeliveryState;
use super::delivery::storage::{self, DeadLetterLimits, Hands, Storage};
use super::delivery::{self, Outlet, Scatter, Settings};
use super::pipeline::Item;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::components::{Exporter as ExporterConfig, Extension};
use crate::config::id::ComponentId;
use crate::exporters::Exporter;
use crate::extensions::file_storage::FileStorageConfig;
use crate::files;
use crate::ledger::{ExporterIndex, Ledger};
use crate::plan::{Plan, PlannedExporter};
use crate::tasks::{self, Task};

/// Deliveries that run, in the order of the plan's exporters.
pub(crate) struct Outlets {
    pub(crate) tasks: Vec<Task>,
    pub(crate) inputs: Vec<mpsc::Sender<Item>>,
    pub(crate) states: Vec<Arc<DeliveryState>>,
}

/// Opens the queues on disk, in the order of the plan's exporters; `None` for those that have none.
pub(crate) async fn open_storages(
    plan: &Plan,
    ledger: &Arc<Ledger>,
    clock: &Clock,
) -> Result<Vec<Option<Storage>>, StartError> {
    let mut storages = Vec::with_capacity(plan.exporters.len());
    for (index, planned) in plan.exporters.iter().enumerate() {
        let Some(config) = file_storage(plan, planned) else {
            storages.push(None);
            continue;
        };
        let (id, config) = (planned.id.to_string(), config.clone());
        let folder = config.folder(&id, planned.signal);
        let shown = folder.display().to_string();
        let error_id = id.clone();
        let error_folder = shown.clone();
        let account = (Arc::clone(ledger), ExporterIndex(index));
        let clock = Arc::clone(clock);
        let open = move || open_storage(&folder, id, shown, &config, account, clock);
        let opened = tasks::blocking("opening a queue on disk", open).await;
        let opened = opened.unwrap_or_else(|| Err("it failed; the log says how".to_owned()));
        let storage = opened.map_err(|reason| StartError::Storage { id: error_id, folder: error_folder, reason })?;
        storages.push(Some(storage));
    }
    Ok(storages)
}

fn open_storage(
    folder: &Path,
    exporter: String,
    shown: String,
    config: &FileStorageConfig,
    account: (Arc<Ledger>, ExporterIndex),
    clock: Clock,
) -> Result<Storage, String> {
    let top = Path::new(&config.directory);
    files::prepare_folder(top, config.create_directory.then_some(config.directory_permissions.0))?;
    let directory = FilesDirectory::open(folder).map_err(|error| storage::describe(&error))?;
    let settings =
        storage::Settings { exporter, folder: shown, hands: Hands::Blocking, ..storage::Settings::of(config) };
    Storage::open(Arc::new(directory), settings, account, clock).map_err(|error| error.to_string())
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
            hands: Hands::Inline,
        }
    }
}

/// The extension that keeps an exporter's queue, if that is on disk.
pub(crate) fn file_storage<'a>(plan: &'a Plan, planned: &PlannedExporter) -> Option<&'a FileStorageConfig> {
    let queue = planned.config.sending_queue().filter(|queue| queue.enabled)?;
    let id: &ComponentId = &queue.storage.as_ref()?.id;
    let extension = plan.extensions.iter().find(|(extension, _)| extension == id);
    extension
        .and_then(|(_, extension)| if let Extension::FileStorage(config) = extension { Some(config) } else { None })
}

/// Starts delivery to every exporter of the plan.
pub(crate) fn start(
    plan: &Plan,
    exporters: Vec<(Arc<dyn Exporter>, Option<Storage>)>,
    budget: &Arc<Budget>,
    scatter: &Scatter,
    clock: &Clock,
) -> Outlets {
    let mut outlets = Outlets { tasks: Vec::new(), inputs: Vec::new(), states: Vec::new() };
    for (index, (exporter, storage)) in exporters.into_iter().enumerate() {
        let batch = plan.merging_before(ExporterIndex(index));
        let planned = &plan.exporters[index];
        let settings = match &planned.config {
            ExporterConfig::Store(_) | ExporterConfig::Debug(_) => Settings::DIRECT,
            // One after the other: that is how they are in the file.
            ExporterConfig::File(_) => Settings { consumers: 1, ..Settings::DIRECT },
            ExporterConfig::OtlpGrpc(config) => Settings::new(&config.sending_queue, &config.retry_on_failure, batch),
            ExporterConfig::OtlpHttp(config) => Settings::new(&config.sending_queue, &config.retry_on_failure, batch),
        };
        let capacity = settings.limit.map(|limit| (limit.size, limit.sizer));
        let state = DeliveryState::new(planned.id.to_string(), planned.signal, capacity, settings.consumers);
        let (sender, input) = mpsc::channel(delivery::WAITING_BATCHES);
        let outlet = Outlet {
            exporter,
            settings,
            budget: Arc::clone(budget),
            scatter: scatter.clone(),
            clock: Arc::clone(clock),
            state: Arc::clone(&state),
            storage,
        };
        outlets.tasks.push(tasks::start("delivery", delivery::run(input, outlet)));
        outlets.inputs.push(sender);
        outlets.states.push(state);
    }
    outlets
}
