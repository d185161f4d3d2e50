//! What has been learnt of endpoints survives a restart.
//!
//! Kept in one small file that is replaced whole. A file that is missing, damaged
//! or of another version costs what was learnt and nothing else: the gateway
//! starts without it and says so.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::App;
use crate::books::{Books, Snapshot};
use crate::dispatch::ticket::unix_ms;

/// What the file says of itself. Another version is not read.
const VERSION: u32 = 1;
/// How often the file is written; a crash loses no more.
const PAUSE: Duration = Duration::from_secs(60);
/// Nothing older is worth anything: endpoints have changed since.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    version: u32,
    at_unix_ms: u64,
    books: Snapshot,
}

/// Goes on from what the file says, if it says anything.
pub fn restore(books: &Books, file: &Path, now: Duration) {
    match read(file) {
        Ok((saved, age)) => {
            tracing::info!(endpoints = saved.endpoints.len(), age_s = age.as_secs(), "statistics restored");
            books.restore(saved, age, now);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(file = %file.display(), %error, "statistics cannot be restored"),
    }
}

fn read(file: &Path) -> io::Result<(Snapshot, Duration)> {
    let saved: Saved = serde_json::from_slice(&std::fs::read(file)?)?;
    if saved.version != VERSION {
        return Err(io::Error::other(format!("version {} is not {VERSION}", saved.version)));
    }
    // A clock that was set back makes no statistics from the future.
    let age = Duration::from_millis(unix_ms().saturating_sub(saved.at_unix_ms));
    if age > OLDEST {
        return Err(io::Error::other("older than thirty days"));
    }
    Ok((saved.books, age))
}

/// Writes the file.
///
/// # Errors
/// When it cannot be written; the old one is whole then.
pub fn save(books: &Books, file: &Path, now: Duration) -> io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let saved = Saved { version: VERSION, at_unix_ms: unix_ms(), books: books.snapshot(now) };
    let draft = file.with_extension(format!("new-{}", std::process::id()));
    let mut writing = std::fs::File::create(&draft)?;
    writing.write_all(&serde_json::to_vec(&saved)?)?;
    std::fs::rename(draft, file)
}

/// Saves now and then until `stop`, and once more then.
pub async fn keep(app: App, stop: CancellationToken) {
    let mut told = false;
    loop {
        let stopping = tokio::select! {
            () = tokio::time::sleep(PAUSE) => false,
            () = stop.cancelled() => true,
        };
        let saving = app.clone();
        let saved = tokio::task::spawn_blocking(move || saving.save_statistics()).await;
        if let Ok(Err(error)) = saved
            && !std::mem::replace(&mut told, true)
        {
            // Where nothing can be written that is how it is meant: told once.
            tracing::warn!(%error, "statistics cannot be kept");
        }
        if stopping {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::CircuitSettings;

    fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_was_learnt_is_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data/statistics.json");
        let (identity, model) = ("p/m".into(), "m".into());
        let before = Books::new(CircuitSettings::default());
        let live = before.live(&identity, &model);
        for at in 1..30 {
            live.first_content(9.0, 100, second(at));
        }
        let (learnt, fresh) = (live.view(100, 0, second(30)), Books::new(CircuitSettings::default()));
        save(&before, &file, second(30)).unwrap();

        let after = Books::new(CircuitSettings::default());
        restore(&after, &file, second(1));
        let seconds = |books: &Books| books.live(&identity, &model).view(100, 0, second(1)).ttft.seconds;
        assert!((seconds(&after) - learnt.ttft.seconds).abs() < 1.0, "{} {:?}", seconds(&after), learnt.ttft);
        assert!(seconds(&after) > seconds(&fresh) * 2.0);
    }

    #[test]
    fn a_damaged_file_costs_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("statistics.json");
        let books = Books::new(CircuitSettings::default());
        for text in ["", "{", r#"{"version":2,"at_unix_ms":0,"books":{"endpoints":{},"models":{}}}"#] {
            std::fs::write(&file, text).unwrap();
            assert!(read(&file).is_err(), "{text}");
            restore(&books, &file, second(0));
        }
    }
}
