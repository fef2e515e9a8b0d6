//! The engine daemon (dockerd).

use std::process::ExitCode;

use corten_engine::config::{Config, ConfigError};
use corten_telemetry::{Format, Level};

/// Two threads carry the API; whatever may block runs beside them.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    corten_sys::allocator::give_back_early();
    let config = match Config::read(std::env::args_os()) {
        Ok(config) => config,
        Err(ConfigError::Arguments(error)) => error.exit(),
        Err(error) => return failed(&corten_engine::errors::EngineError::invalid(error.to_string())),
    };
    let level = match config.effective_log_level().parse::<Level>() {
        Ok(level) => level,
        Err(error) => return failed(&corten_engine::errors::EngineError::invalid(error.to_string())),
    };
    corten_telemetry::init(level, Format::Text);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cortend: start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(corten_engine::serve::serve(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &corten_engine::errors::EngineError) -> ExitCode {
    eprintln!("cortend: {}", error.message());
    ExitCode::FAILURE
}
