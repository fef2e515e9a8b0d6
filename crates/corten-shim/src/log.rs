//! The shim's own log: lines in containerd's form into the fifo `log` of the bundle.
//!
//! Nothing waits for a reader: a line that does not go in at once is dropped, and counted. A subscriber
//! of fifty lines, because the usual one is half a megabyte of program.

use std::{
    fmt::Write as _,
    fs::File,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use corten_stdio::Timestamp;
use corten_sys::fifo;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

struct FifoLog {
    fifo: Mutex<File>,
    level: Level,
    dropped: AtomicU64,
}

/// Sends what is logged to the fifo `log` in `bundle`; nowhere when there is none.
pub fn init(bundle: &Path, debug: bool) {
    let Ok(fifo) = fifo::open_writer(&bundle.join("log")) else { return };
    let level = if debug { Level::DEBUG } else { Level::INFO };
    let log = FifoLog { fifo: Mutex::new(fifo), level, dropped: AtomicU64::new(0) };
    // Set once, at start; a second call would be a test's.
    let _ = tracing::subscriber::set_global_default(log);
}

impl Subscriber for FifoLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields { message: String::new(), rest: String::new() };
        event.record(&mut fields);
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let dropped = match self.dropped.load(Ordering::Relaxed) {
            0 => String::new(),
            count => format!(" dropped_lines={count}"),
        };
        let Fields { message, rest } = fields;
        let line = format!("time=\"{}\" level={level} msg={message:?}{rest}{dropped}\n", Timestamp::now());
        let fifo = self.fifo.lock().unwrap_or_else(PoisonError::into_inner);
        match fifo::write(&*fifo, line.as_bytes()) {
            Ok(_) => self.dropped.store(0, Ordering::Relaxed),
            Err(_) => drop(self.dropped.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Fields {
    message: String,
    rest: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.rest, " {name}={:?}", format!("{value:?}")),
        };
    }
}
