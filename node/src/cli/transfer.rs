//! Commands that carry a whole store: bundles, backups, and checking it.
//!
//! Files are written under another name and renamed when they are whole and synced, so that a file with the right name
//! is never half a file.

use std::{
    fs::{File, OpenOptions},
    io::{BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use griot_protocol::{NetworkName, Unverified, bundle::BundleReader};
use http_body_util::BodyExt;
use hyper::Method;

use super::{
    CliError,
    client::{Daemon, read_json},
    inspect::object,
    offline,
};
use crate::{
    api::{self, BackupHead, BackupItem, BackupReader, ImportSummary, VerifySummary},
    config::Config,
    identity::{IDENTITY_FILE, Identity},
    store::{COMMIT_ENTRIES_MAX, Entry, Store},
};

/// Bytes read from a file at a time.
const PIECE_BYTES: usize = 128 * 1024;

/// Records in one commit of a restore: below the store's bound, and at most 17 MiB.
const RESTORE_BATCH: usize = 256;
const _: () = assert!(RESTORE_BATCH <= COMMIT_ENTRIES_MAX);

pub(super) async fn export(config: &Config, file: &Path) -> Result<(), CliError> {
    let mut daemon = Daemon::need(&config.data_dir).await?;
    let mut draft = Draft::begin(file, 0o644)?;
    draft.receive(&mut daemon, "/v1/bundle").await?;
    // Read it back: an export that was cut short has no end, and must not look like a bundle.
    let entries = check_bundle(&draft.part)?;
    draft.keep()?;
    eprintln!("{}: {entries} records; on the other side: griotd bundle import FILE", file.display());
    Ok(())
}

fn check_bundle(path: &Path) -> Result<u64, CliError> {
    use std::io::Read;
    let mut input = File::open(path).map_err(|error| at(path, &error))?;
    let mut reader = BundleReader::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = input.read(&mut piece).map_err(|error| at(path, &error))?;
        let mut rest = piece.get(..read).unwrap_or_default();
        if rest.is_empty() {
            return reader.finish().map(|summary| summary.entries).map_err(|error| at(path, &error));
        }
        while !rest.is_empty() {
            let taken = reader.push(rest);
            rest = rest.get(taken..).unwrap_or_default();
            while reader.next_item().map_err(|error| at(path, &error))?.is_some() {}
        }
    }
}

pub(super) async fn import(config: &Config, file: &Path) -> Result<(), CliError> {
    let input = tokio::fs::File::open(file).await.map_err(|error| at(file, &error))?;
    let mut daemon = Daemon::need(&config.data_dir).await?;
    let pieces = futures::stream::unfold(input, |mut input| async move {
        use tokio::io::AsyncReadExt;
        let mut piece = vec![0; PIECE_BYTES];
        match input.read(&mut piece).await {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                Some((Ok(Bytes::from(piece)), input))
            }
            Err(error) => Some((Err(error), input)),
        }
    });
    let answer = daemon.transfer(Method::POST, "/v1/bundle", Body::from_stream(pieces.fuse())).await?;
    let summary: ImportSummary = read_json(answer).await?;
    eprintln!("{} records are new here, {} were known", summary.new, summary.known);
    for (reason, count) in &summary.refused {
        eprintln!("{count} were refused: {reason}");
    }
    if summary.damaged > 0 {
        return Err(CliError::failed(format!(
            "{} entries of the file are damaged; the others were taken",
            summary.damaged
        )));
    }
    Ok(())
}

pub(super) async fn backup(config: &Config, file: &Path) -> Result<(), CliError> {
    let identity = Identity::load(&config.data_dir).map_err(CliError::failed)?;
    let identity = identity.ok_or_else(|| CliError::failed(format!("{} holds no node", config.data_dir.display())))?;
    let mut draft = Draft::begin(file, 0o600)?;
    let head = BackupHead { key: *identity.secret().to_bytes(), network: config.network.name.clone() };
    draft.write(&api::backup_head(&head))?;
    match Daemon::find(&config.data_dir).await? {
        Some(mut daemon) => draft.receive(&mut daemon, "/v1/backup").await?,
        None => {
            let store = offline::open_store(config)?;
            let mut out = std::io::BufWriter::with_capacity(PIECE_BYTES, &mut draft.file);
            api::write_backup(&*store, &mut out).map_err(CliError::failed)?;
            out.flush().map_err(CliError::failed)?;
        }
    }
    let mut items: u64 = 0;
    let (mut reader, _) = open_backup(&draft.part)?;
    while reader.next_item().map_err(|error| at(&draft.part, &error))?.is_some() {
        items += 1;
    }
    draft.keep()?;
    eprintln!("{}: {items} items, read back and found whole", file.display());
    eprintln!("it holds the node's secret key: whoever has the file can be this node");
    Ok(())
}

pub(super) async fn restore(config: &Config, file: &Path) -> Result<(), CliError> {
    let dir = &config.data_dir;
    let (mut reader, head) = open_backup(file)?;
    if Daemon::find(dir).await?.is_some() || dir.join(IDENTITY_FILE).exists() {
        let what = format!("{} holds a node already: restore into an empty --data-dir", dir.display());
        return Err(CliError::failed(what));
    }
    if head.network != config.network.name {
        let what = format!("the backup is of network {}: say --network {}", head.network, head.network);
        return Err(CliError::Usage(what));
    }
    let store = offline::open_store(config)?;
    let totals = restore_into(&*store, &head.network, &mut reader).map_err(|error| at(file, &error))?;
    drop(store);
    // Last, so that a restore that failed half-way leaves no node that would start without its mail.
    write_identity(dir, &head.key)?;
    eprintln!(
        "restored {} items; {} records no longer prove themselves and were left out",
        totals.items, totals.refused
    );
    eprintln!("the old node must not run any more: two nodes with one key confuse the network");
    Ok(())
}

/// What a restore did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Restored {
    items: u64,
    refused: u64,
}

fn restore_into<R: std::io::Read>(
    store: &dyn Store,
    network: &NetworkName,
    reader: &mut BackupReader<R>,
) -> Result<Restored, CliError> {
    let mut restored = Restored::default();
    let mut batch = Vec::with_capacity(RESTORE_BATCH);
    while let Some(item) = reader.next_item().map_err(CliError::failed)? {
        let entry = match &item {
            BackupItem::Record(frame) => {
                Unverified::parse(frame.clone()).and_then(|record| record.verify(network)).ok().map(Entry::Record)
            }
            local => local.local_entry(),
        };
        match entry {
            Some(entry) => batch.push(entry),
            None => restored.refused += 1,
        }
        if batch.len() == RESTORE_BATCH {
            restored.items += batch.len() as u64;
            store.commit(&batch).map_err(CliError::failed)?;
            batch.clear();
        }
    }
    restored.items += batch.len() as u64;
    if !batch.is_empty() {
        store.commit(&batch).map_err(CliError::failed)?;
    }
    Ok(restored)
}

pub(super) async fn verify(config: &Config) -> Result<(), CliError> {
    let summary: VerifySummary = match Daemon::find(&config.data_dir).await? {
        Some(mut daemon) => read_json(daemon.transfer(Method::POST, "/v1/verify", Body::empty()).await?).await?,
        None => {
            let store = offline::open_store(config)?;
            api::verify_records(&*store, &config.network.name).map_err(CliError::failed)?
        }
    };
    object(&summary)?;
    if summary.damaged > 0 {
        let what = format!(
            "{} of {} records are damaged; sync fetches them again from other nodes",
            summary.damaged, summary.records
        );
        return Err(CliError::failed(what));
    }
    eprintln!("{} records ({} bytes) prove themselves", summary.records, summary.bytes);
    Ok(())
}

fn open_backup(path: &Path) -> Result<(BackupReader<BufReader<File>>, BackupHead), CliError> {
    let input = File::open(path).map_err(|error| at(path, &error))?;
    BackupReader::begin(BufReader::with_capacity(PIECE_BYTES, input)).map_err(|error| at(path, &error))
}

fn write_identity(dir: &Path, key: &[u8; 32]) -> Result<(), CliError> {
    let path = dir.join(IDENTITY_FILE);
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).and_then(|mut file| {
        file.write_all(key)?;
        file.sync_all()?;
        File::open(dir)?.sync_all()
    });
    written.map_err(|error| at(&path, &error))
}

/// A file that is being written.
struct Draft {
    file: File,
    part: PathBuf,
    whole: PathBuf,
    kept: bool,
}

impl Draft {
    fn begin(whole: &Path, mode: u32) -> Result<Self, CliError> {
        let mut name = whole.as_os_str().to_owned();
        name.push(".part");
        let part = PathBuf::from(name);
        // A left-over may be readable by others: its mode would stay.
        let _ = std::fs::remove_file(&part);
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&part);
        let file = file.map_err(|error| at(&part, &error))?;
        Ok(Self { file, part, whole: whole.to_owned(), kept: false })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.file.write_all(bytes).map_err(|error| at(&self.part, &error))
    }

    async fn receive(&mut self, daemon: &mut Daemon, path: &str) -> Result<(), CliError> {
        let mut body = daemon.transfer(Method::GET, path, Body::empty()).await?.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| CliError::failed(format!("the node broke off: {error}")))?;
            if let Some(bytes) = frame.data_ref() {
                self.write(bytes)?;
            }
        }
        Ok(())
    }

    fn keep(mut self) -> Result<(), CliError> {
        let folder = self.whole.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let kept = self.file.sync_all().and_then(|()| std::fs::rename(&self.part, &self.whole));
        kept.and_then(|()| File::open(folder)?.sync_all()).map_err(|error| at(&self.whole, &error))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.part);
        }
    }
}

fn at(path: &Path, error: &dyn std::fmt::Display) -> CliError {
    CliError::failed(format!("{}: {error}", path.display()))
}
