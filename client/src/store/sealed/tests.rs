use std::path::Path;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::store::MemoryStore;

fn passphrase(text: &str) -> StoreKey {
    StoreKey::Passphrase(Zeroizing::new(text.to_owned()))
}

fn put(key: &[u8], value: &[u8]) -> Change {
    Change::Put(key.to_vec(), value.to_vec())
}

fn every_file(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(every_file(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn what_was_committed_is_there_after_reopening_and_nothing_of_it_is_readable_in_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::create(dir.path(), &StoreKey::KeyFile).unwrap();
    let large = b"planted-marker-".repeat(5_000);
    store.commit(&[put(b"planted-key", &large), put(b"other", b"")]).unwrap();
    drop(store);
    for file in every_file(dir.path()) {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"planted"), "{}", file.display());
    }
    let store = SledStore::open(dir.path(), &StoreKey::KeyFile).unwrap();
    assert_eq!(store.get(b"planted-key").unwrap(), Some(large));
    assert_eq!(store.get(b"other").unwrap(), Some(Vec::new()));
    assert_eq!(store.get(b"missing").unwrap(), None);
}

#[test]
fn nothing_goes_to_blob_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::create(dir.path(), &StoreKey::KeyFile).unwrap();
    for number in 0..100u32 {
        store.commit(&[put(&number.to_be_bytes(), &vec![7; 66_000])]).unwrap();
    }
    drop(store);
    assert_eq!(every_file(&dir.path().join(SLED_DIR).join("blobs")), Vec::<PathBuf>::new());
}

#[test]
fn a_wrong_passphrase_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    drop(SledStore::create(dir.path(), &passphrase("right")).unwrap());
    assert_eq!(SledStore::wants_passphrase(dir.path()).unwrap(), Some(true));
    assert!(matches!(SledStore::open(dir.path(), &passphrase("wrong")), Err(StoreError::WrongKey)));
    assert!(matches!(SledStore::open(dir.path(), &StoreKey::KeyFile), Err(StoreError::WrongKey)));
    SledStore::open(dir.path(), &passphrase("right")).unwrap();
}

#[test]
fn a_home_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let owner = SledStore::create(dir.path(), &StoreKey::KeyFile).unwrap();
    assert!(matches!(SledStore::open(dir.path(), &StoreKey::KeyFile), Err(StoreError::Locked(_))));
    drop(owner);
    SledStore::open(dir.path(), &StoreKey::KeyFile).unwrap();
}

#[test]
fn a_half_written_snapshot_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::create(dir.path(), &StoreKey::KeyFile).unwrap();
    store.commit(&[put(b"key", b"value")]).unwrap();
    drop(store);
    fs::write(dir.path().join(SLED_DIR).join("snap.0000000000000FFF.generating"), b"half").unwrap();
    let store = SledStore::open(dir.path(), &StoreKey::KeyFile).unwrap();
    assert_eq!(store.get(b"key").unwrap(), Some(b"value".to_vec()));
}

#[test]
fn a_swapped_row_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::create(dir.path(), &StoreKey::KeyFile).unwrap();
    store.commit(&[put(b"a", b"one"), put(b"b", b"two")]).unwrap();
    let other = store.db.get(store.name(b"b", 0)).unwrap().unwrap();
    store.db.insert(store.name(b"a", 0), other).unwrap();
    assert!(matches!(store.get(b"a"), Err(StoreError::Damaged(_))));
}

fn change() -> impl Strategy<Value = Change> {
    let key = prop::collection::vec(0u8..4, 1..4);
    let value = (0usize..9_000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]);
    prop_oneof![
        3 => (key.clone(), value).prop_map(|(key, value)| Change::Put(key, value)),
        1 => key.prop_map(Change::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Disk and memory answer alike, across reopenings.
    #[test]
    fn disk_and_memory_agree(commits in prop::collection::vec((prop::collection::vec(change(), 0..6), any::<bool>()), 1..12)) {
        let dir = tempfile::tempdir().unwrap();
        let mut disk = SledStore::create(dir.path(), &StoreKey::KeyFile).unwrap();
        let mut memory = MemoryStore::new();
        for (changes, reopen) in commits {
            disk.commit(&changes).unwrap();
            memory.commit(&changes).unwrap();
            if reopen {
                drop(disk);
                disk = SledStore::open(dir.path(), &StoreKey::KeyFile).unwrap();
            }
            for prefix in [&[][..], &[1], &[2, 3]] {
                for after in [None, Some(&[1, 2][..]), Some(&[2, 3, 0][..])] {
                    prop_assert_eq!(disk.scan(prefix, after, 5).unwrap(), memory.scan(prefix, after, 5).unwrap());
                }
            }
            prop_assert_eq!(disk.scan(&[], None, usize::MAX).unwrap(), memory.scan(&[], None, usize::MAX).unwrap());
            for change in &changes {
                let (Change::Put(key, _) | Change::Delete(key)) = change;
                prop_assert_eq!(disk.get(key).unwrap(), memory.get(key).unwrap());
            }
        }
    }
}
