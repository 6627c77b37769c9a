//! `feature-server verify`: checks a folder and reports its content.

use std::path::Path;

use feature_auth::keys::KeyFolder;
use feature_store::{History, ProjectionState};

use super::{DataError, bar, file_error, show};

/// A folder whose journal is intact.
#[derive(Debug)]
pub struct Verified {
    /// The content, one line for each part.
    pub summary: String,
    /// An error if the projection is in doubt: no data is lost, but the disk may be failing.
    pub outcome: Result<(), DataError>,
}

/// Checks a data folder or a backup, and changes nothing.
///
/// # Errors
/// [`DataError`] names what is damaged.
pub fn verify(data: &Path) -> Result<Verified, DataError> {
    let history = History::open(data)?;
    let temporary = std::env::temp_dir();
    let scratch = tempfile::tempdir().map_err(file_error("make a folder in", &temporary))?;
    let bar = bar("verify", history.revision(), "events");
    let found = feature_store::verify(&history, scratch.path(), &mut |done, total| show(&bar, done, total))?;
    drop(bar);
    let keys = KeyFolder::count(data)?;
    let summary = format!(
        "store       {}\nsegments    {}, {} bytes, {}\nevents      {}, the last one is revision {}\n\
         torn tail   {}\nscopes      {}\nprojection  {}\nkeys        {keys}\n",
        history.store(),
        history.segments(),
        history.bytes(),
        if history.is_sealed() { "closed" } else { "not closed: a server was killed, or is running on the original" },
        history.revision(),
        history.revision(),
        torn(&history),
        found.scopes,
        projection(&found.projection),
    );
    let outcome = match found.projection {
        ProjectionState::InDoubt(reason) => Err(DataError::ProjectionInDoubt(reason)),
        ProjectionState::Absent | ProjectionState::Agrees | ProjectionState::Behind(_) => Ok(()),
    };
    Ok(Verified { summary, outcome })
}

fn torn(history: &History) -> String {
    history.torn().map_or_else(
        || "none".to_owned(),
        |torn| {
            let (bytes, offset, segment) = (torn.bytes, torn.offset, torn.segment.display());
            format!(
                "{bytes} bytes from byte {offset} on of {segment}, never acknowledged: the next start cuts them off"
            )
        },
    )
}

fn projection(state: &ProjectionState) -> String {
    match state {
        ProjectionState::Absent => "absent: the next start builds it".to_owned(),
        ProjectionState::Agrees => "agrees with the journal, record by record".to_owned(),
        ProjectionState::Behind(0) => "empty: the next start builds it".to_owned(),
        ProjectionState::Behind(revision) => format!("agrees up to revision {revision}: the next start catches up"),
        ProjectionState::InDoubt(reason) => format!("in doubt: {reason}; the next start builds it anew"),
    }
}
