//! The key of a store: a random data key, wrapped by a key that comes from a passphrase or from a key file.
//!
//! `vault.json` holds the wrapped key and how to unwrap it, nothing secret. The data key never changes, so a new
//! passphrase rewrites one small file and not the store.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::StoreError;

/// The file that holds the wrapped key.
pub(super) const VAULT_FILE: &str = "vault.json";

/// The key file, where there is no passphrase.
const KEY_FILE: &str = "key";

/// The version of the vault and of the rows.
const VERSION: u32 = 1;

/// Argon2id memory: 19 MiB, two passes, as [OWASP](https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html)
/// advises; a small phone does it in a quarter of a second.
const ARGON2_MEMORY_KIB: u32 = 19 * 1024;
/// See [`ARGON2_MEMORY_KIB`].
const ARGON2_PASSES: u32 = 2;
/// The most that a vault file may ask for, so that a damaged one cannot take all memory.
const ARGON2_MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// See [`ARGON2_MEMORY_KIB_MAX`].
const ARGON2_PASSES_MAX: u32 = 64;

const NONCE_BYTES: usize = 24;
const AAD: &[u8] = b"griot 1 vault";

/// A 32-byte secret, wiped when dropped.
pub(super) type Secret = Zeroizing<[u8; 32]>;

/// What opens a store.
#[derive(Clone)]
pub enum StoreKey {
    /// A passphrase, stretched with Argon2id.
    Passphrase(Zeroizing<String>),
    /// The 0600 key file in the home, made where it is missing when the store is created.
    KeyFile,
}

impl std::fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Passphrase(_) => "Passphrase(…)",
            Self::KeyFile => "KeyFile",
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Vault {
    version: u32,
    /// Absent where the key comes from the key file.
    #[serde(default)]
    argon2id: Option<Stretch>,
    /// Nonce and ciphertext of the data key, hex.
    wrapped: String,
}

#[derive(Serialize, Deserialize)]
struct Stretch {
    memory_kib: u32,
    passes: u32,
    salt: String,
}

/// Whether the store in `home` wants a passphrase; `None` where there is no store.
pub(super) fn wants_passphrase(home: &Path) -> Result<Option<bool>, StoreError> {
    Ok(read(home)?.map(|vault| vault.argon2id.is_some()))
}

/// Makes a new data key and the vault that holds it.
pub(super) fn create(home: &Path, key: &StoreKey) -> Result<Secret, StoreError> {
    let (wrapping, argon2id) = match key {
        StoreKey::Passphrase(passphrase) => {
            let mut salt = [0; 16];
            fill(&mut salt)?;
            let stretch =
                Stretch { memory_kib: ARGON2_MEMORY_KIB, passes: ARGON2_PASSES, salt: HEXLOWER.encode(&salt) };
            (stretch_key(passphrase, &stretch)?, Some(stretch))
        }
        StoreKey::KeyFile => (create_key_file(home)?, None),
    };
    let mut data_key = Zeroizing::new([0; 32]);
    fill(&mut *data_key)?;
    let mut nonce = [0; NONCE_BYTES];
    fill(&mut nonce)?;
    let mut wrapped = nonce.to_vec();
    wrapped.extend(seal(&wrapping, &nonce, AAD, &*data_key)?);
    let vault = Vault { version: VERSION, argon2id, wrapped: HEXLOWER.encode(&wrapped) };
    let text = serde_json::to_vec_pretty(&vault).map_err(|error| StoreError::Damaged(error.to_string()))?;
    write_synced(home, VAULT_FILE, &text)?;
    Ok(data_key)
}

/// Unwraps the data key.
pub(super) fn open(home: &Path, key: &StoreKey) -> Result<Secret, StoreError> {
    let vault = read(home)?.ok_or_else(|| StoreError::Damaged(format!("there is no store in {}", home.display())))?;
    let wrapping = match (key, &vault.argon2id) {
        (StoreKey::Passphrase(passphrase), Some(stretch)) => stretch_key(passphrase, stretch)?,
        (StoreKey::KeyFile, None) => read_key_file(home)?,
        _ => return Err(StoreError::WrongKey),
    };
    let damaged = || StoreError::Damaged(format!("{VAULT_FILE} is damaged"));
    let wrapped = HEXLOWER.decode(vault.wrapped.as_bytes()).map_err(|_| damaged())?;
    let (nonce, sealed) = wrapped.split_first_chunk::<NONCE_BYTES>().ok_or_else(damaged)?;
    let plain = Zeroizing::new(unseal(&wrapping, nonce, AAD, sealed).ok_or(StoreError::WrongKey)?);
    let bytes = <[u8; 32]>::try_from(plain.as_slice()).map_err(|_| damaged())?;
    Ok(Zeroizing::new(bytes))
}

/// Seals `plain` with XChaCha20-Poly1305.
pub(super) fn seal(key: &[u8; 32], nonce: &[u8; 24], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    XChaCha20Poly1305::new(key.into())
        .encrypt(&XNonce::from(*nonce), Payload { msg: plain, aad })
        .map_err(|_| StoreError::Damaged("a row could not be encrypted".to_owned()))
}

/// Opens what [`seal`] made; `None` where key, nonce, `aad` or bytes are others.
pub(super) fn unseal(key: &[u8; 32], nonce: &[u8; 24], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    XChaCha20Poly1305::new(key.into()).decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad }).ok()
}

/// Fills `bytes` from the operating system.
pub(super) fn fill(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(|error| StoreError::Io {
        what: "random bytes".to_owned(),
        source: std::io::Error::other(error.to_string()),
    })
}

/// Wraps an IO error with what was being done.
pub(super) fn io<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(std::io::Error) -> StoreError + 'a {
    move |source| StoreError::Io { what: format!("{what} {}", path.display()), source }
}

fn read(home: &Path) -> Result<Option<Vault>, StoreError> {
    let path = home.join(VAULT_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("read", &path)(error)),
    };
    let vault: Vault = serde_json::from_slice(&bytes)
        .map_err(|error| StoreError::Damaged(format!("{} is damaged: {error}", path.display())))?;
    if vault.version != VERSION {
        return Err(StoreError::Damaged(format!(
            "this store has version {}, this program knows {VERSION}: use a newer program",
            vault.version
        )));
    }
    Ok(Some(vault))
}

fn stretch_key(passphrase: &str, stretch: &Stretch) -> Result<Secret, StoreError> {
    let damaged = || StoreError::Damaged(format!("{VAULT_FILE} has parameters out of bounds"));
    if stretch.memory_kib > ARGON2_MEMORY_KIB_MAX || stretch.passes > ARGON2_PASSES_MAX {
        return Err(damaged());
    }
    let salt = HEXLOWER.decode(stretch.salt.as_bytes()).map_err(|_| damaged())?;
    let params = Params::new(stretch.memory_kib, stretch.passes, 1, Some(32)).map_err(|_| damaged())?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), &salt, &mut *key)
        .map_err(|_| damaged())?;
    Ok(key)
}

fn create_key_file(home: &Path) -> Result<Secret, StoreError> {
    // A file that is left from a creation that was killed has never protected anything, but it serves.
    if home.join(KEY_FILE).exists() {
        return read_key_file(home);
    }
    let mut key = Zeroizing::new([0; 32]);
    fill(&mut *key)?;
    write_synced(home, KEY_FILE, HEXLOWER.encode(&*key).as_bytes())?;
    Ok(key)
}

fn read_key_file(home: &Path) -> Result<Secret, StoreError> {
    let path = home.join(KEY_FILE);
    let text = match fs::read(&path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(StoreError::WrongKey),
        Err(error) => return Err(io("read", &path)(error)),
    };
    let bytes = Zeroizing::new(HEXLOWER.decode(text.trim_ascii()).map_err(|_| StoreError::WrongKey)?);
    <[u8; 32]>::try_from(bytes.as_slice()).map(Zeroizing::new).map_err(|_| StoreError::WrongKey)
}

/// Writes a 0600 file so that after a crash it is whole or not there.
fn write_synced(home: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path = home.join(name);
    let temporary = home.join(format!("{name}.new"));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(io("create", &temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io("write", &temporary))?;
    fs::rename(&temporary, &path).map_err(io("rename to", &path))?;
    fs::File::open(home).and_then(|dir| dir.sync_all()).map_err(io("sync", home))
}
