//! Who a node is: one Ed25519 key, kept in `<data-dir>/identity`.
//!
//! The same 32 secret bytes sign custody receipts ([`NodeSecret`]) and authenticate connections (libp2p's [`Keypair`]),
//! so a node's [`NodeId`] and its libp2p [`PeerId`] are two spellings of one public key and either gives the other.
//! Whoever has the file *is* the node: it is readable by its owner only, and a node refuses to start from one that is
//! not.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use griot_protocol::{NodeId, NodeSecret};
use libp2p::{
    PeerId,
    identity::{self, Keypair},
};
use zeroize::Zeroizing;

/// The file in the data directory.
pub const IDENTITY_FILE: &str = "identity";

/// The multihash code of "the digest is the key itself", which every Ed25519 peer id uses.
const MULTIHASH_IDENTITY: u64 = 0;

/// Why a node has no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file system refused.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// The file system's answer.
        source: io::Error,
    },
    /// Others can read the secret.
    #[error(
        "{path} can be read by others (mode {mode:o}), and whoever reads it can pretend to be this node: run `chmod 600 {path}`"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is damaged.
    #[error(
        "{path} does not hold the 32 bytes of a node key: restore it from a backup, or remove it to start as a new node"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system: {0}")]
    Random(getrandom::Error),
}

/// A node's key, in both forms it is needed.
#[derive(Clone)]
pub struct Identity {
    secret: NodeSecret,
    keypair: Keypair,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.node_id())
    }
}

impl Identity {
    /// Takes the identity from `data_dir`, or makes one there. The directory must exist.
    ///
    /// # Errors
    /// The file cannot be read or written, is damaged, or can be read by others.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, IdentityError> {
        match Self::load(data_dir)? {
            Some(identity) => Ok(identity),
            None => Self::create(data_dir),
        }
    }

    /// Takes the identity from `data_dir`, where there is one.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or can be read by others.
    pub fn load(data_dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = data_dir.join(IDENTITY_FILE);
        let io = |what| move |path: &Path, source| IdentityError::Io { what, path: path.to_owned(), source };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io("open")(&path, error)),
        };
        // The open file is asked, not the path: nobody can swap it between the look and the read.
        let mode = file.metadata().map_err(|error| io("look at")(&path, error))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(IdentityError::Exposed { path, mode });
        }
        let mut bytes = Zeroizing::new([0; 32]);
        let mut beyond = [0; 1];
        let whole = file.read_exact(bytes.as_mut()).and_then(|()| file.read(&mut beyond));
        match whole {
            Ok(0) => Self::from_bytes(&bytes).map(Some).ok_or(IdentityError::Damaged { path }),
            Ok(_) => Err(IdentityError::Damaged { path }),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(IdentityError::Damaged { path }),
            Err(error) => Err(io("read")(&path, error)),
        }
    }

    /// Makes the identity from 32 secret bytes. `None` never happens in practice: libp2p takes every 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        // libp2p wipes the copy it is given.
        let keypair = Keypair::ed25519_from_bytes(*bytes).ok()?;
        Some(Self { secret: NodeSecret::from_bytes(bytes), keypair })
    }

    /// The secret that signs custody receipts.
    #[must_use]
    pub fn secret(&self) -> &NodeSecret {
        &self.secret
    }

    /// The public key.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.secret.public()
    }

    /// The same key for libp2p.
    #[must_use]
    pub fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    /// The public key as libp2p names it.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.keypair.public().to_peer_id()
    }

    /// A crash at any point leaves either no identity or a whole one: the bytes are synced under another name first,
    /// and the name is given by a link, which never replaces an identity that is there.
    fn create(data_dir: &Path) -> Result<Self, IdentityError> {
        let path = data_dir.join(IDENTITY_FILE);
        let draft = data_dir.join(format!("{IDENTITY_FILE}.new"));
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut()).map_err(IdentityError::Random)?;
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| IdentityError::Io { what, path, source }
        };
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &draft)(error)),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .map_err(failed("create", &draft))?;
        file.write_all(bytes.as_ref()).and_then(|()| file.sync_all()).map_err(failed("write", &draft))?;
        fs::hard_link(&draft, &path)
            .and_then(|()| fs::remove_file(&draft))
            .or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Err(error),
                // A file system without hard links.
                _ => fs::rename(&draft, &path),
            })
            .map_err(failed("create", &path))?;
        File::open(data_dir).and_then(|dir| dir.sync_all()).map_err(failed("sync", data_dir))?;
        Self::from_bytes(&bytes).ok_or(IdentityError::Damaged { path })
    }
}

/// The peer id of a node; `None` where the bytes are no Ed25519 key.
#[must_use]
pub fn peer_id(node: &NodeId) -> Option<PeerId> {
    let key = identity::ed25519::PublicKey::try_from_bytes(&node.0).ok()?;
    Some(identity::PublicKey::from(key).to_peer_id())
}

/// The node of a peer id; `None` where the peer has another type of key, and so cannot be a Griot node.
#[must_use]
pub fn node_id(peer: &PeerId) -> Option<NodeId> {
    let multihash: &libp2p::multihash::Multihash<64> = peer.as_ref();
    if multihash.code() != MULTIHASH_IDENTITY {
        return None;
    }
    let key = identity::PublicKey::try_decode_protobuf(multihash.digest()).ok()?.try_into_ed25519().ok()?;
    let node = NodeId(key.to_bytes());
    // One node has one name: an unusual encoding of the same key is no second one.
    (peer_id(&node).as_ref() == Some(peer)).then_some(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Identity::load(dir.path()).unwrap().is_none());
        let made = Identity::load_or_create(dir.path()).unwrap();
        let again = Identity::load_or_create(dir.path()).unwrap();
        assert_eq!(made.node_id(), again.node_id());
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [IDENTITY_FILE]);
        let mode = fs::metadata(dir.path().join(IDENTITY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_draft_left_by_a_crash_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("identity.new"), b"half").unwrap();
        Identity::load_or_create(dir.path()).unwrap();
        assert!(!dir.path().join("identity.new").exists());
    }

    #[test]
    fn an_exposed_identity_is_refused_with_the_cure() {
        let dir = tempfile::tempdir().unwrap();
        Identity::load_or_create(dir.path()).unwrap();
        let path = dir.path().join(IDENTITY_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Identity::load_or_create(dir.path()).unwrap_err();
        assert!(matches!(error, IdentityError::Exposed { mode: 0o640, .. }));
        assert!(error.to_string().contains("chmod 600"));
    }

    #[test]
    fn a_damaged_identity_is_refused_and_not_replaced() {
        for bytes in [&b"short"[..], &[7; 33]] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(IDENTITY_FILE);
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(Identity::load_or_create(dir.path()), Err(IdentityError::Damaged { .. })));
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }

    #[test]
    fn node_ids_and_peer_ids_name_the_same_key() {
        let identity = Identity::from_bytes(&[5; 32]).unwrap();
        assert_eq!(node_id(&identity.peer_id()), Some(identity.node_id()));
        assert_eq!(peer_id(&identity.node_id()), Some(identity.peer_id()));
        // A peer id with a hashed key (RSA and the like) is no node.
        let hashed = libp2p::multihash::Multihash::wrap(0x12, &[1; 32]).unwrap();
        assert_eq!(node_id(&PeerId::from_multihash(hashed).unwrap()), None);
    }
}
