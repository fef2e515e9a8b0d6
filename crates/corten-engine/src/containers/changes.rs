//! `docker diff`.

use std::sync::Arc;

use corten_docker_api::containers::FileChange;
use corten_layers::changes::{self, Change};

use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::snapshots::compare::{self, is_placeholder};

/// Most changes of one container that are listed: some 200 MiB.
const CHANGES_AT_MOST: usize = 1 << 20;

/// What the container has changed in its file system, in order; `None` for nothing, which prints as `null`.
///
/// # Errors
/// 404; what reading the trees gave.
pub async fn changes(engine: &Arc<Engine>, wanted: &str) -> Result<Option<Vec<FileChange>>> {
    let container = engine.containers.find(wanted)?;
    engine.containerd.linked().await?;
    let record = Arc::clone(&container.view().record);
    let compared = compare::compare(engine, &record).await?;
    let trees = compared.trees.clone();
    let listed = tokio::task::spawn_blocking(move || list(&trees)).await;
    compare::release(engine, &record, compared).await;
    let failed = || format!("list the changes of container {}", record.id);
    let all = listed.map_err(|error| EngineError::internal(failed()).caused_by(error))??;
    Ok((!all.is_empty()).then_some(all))
}

fn list(trees: &changes::Trees) -> Result<Vec<FileChange>> {
    let (mut all, mut is_over) = (Vec::new(), false);
    let listed = changes::changes(trees, &is_placeholder, &mut |found| {
        let kind = match found.change {
            Change::Modified => 0,
            Change::Added => 1,
            Change::Deleted => 2,
        };
        is_over |= all.len() >= CHANGES_AT_MOST;
        if !is_over {
            all.push(FileChange { path: format!("/{}", found.name.display()), kind });
        }
        Ok(())
    });
    listed.map_err(|error| EngineError::internal("compare the container with its image").caused_by(error))?;
    if is_over {
        return Err(EngineError::internal(format!("the container has more than {CHANGES_AT_MOST} changes")));
    }
    Ok(all)
}
