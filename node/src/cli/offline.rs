//! The store of a node that does not run.

use std::sync::Arc;

use super::CliError;
use crate::{config::Config, runtime, store::Store};

/// Opens it, and with it the data directory's lock, so that no node starts meanwhile.
pub(super) fn open_store(config: &Config) -> Result<Arc<dyn Store>, CliError> {
    runtime::open_offline(config).map_err(CliError::failed)
}
