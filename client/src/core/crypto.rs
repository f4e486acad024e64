//! The outer seals: what a relay sees of a payload is a suite byte and noise of one of five lengths.
//!
//! | suite | for | construction |
//! |---|---|---|
//! | 1 | direct messages | nonce 24 ‖ XChaCha20-Poly1305 under the mailbox's seal key, address as associated data |
//! | 2 | requests | HPKE base mode (X25519, HKDF-SHA256, ChaCha20-Poly1305): encapsulated key 32 ‖ ciphertext, address in `info` |
//!
//! Inside: length u32 LE ‖ content ‖ zeros up to the bucket.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use griot_protocol::{
    Address,
    padding::{self, BUCKETS},
};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::X25519HkdfSha256,
};
use rand::CryptoRng;
use zeroize::Zeroizing;

use super::error::ClientError;

/// Direct messages.
const SUITE_DIRECT: u8 = 1;
/// Requests for contact.
const SUITE_REQUEST: u8 = 2;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const ENCAPPED_BYTES: usize = 32;
const LENGTH_BYTES: usize = 4;

const INFO_PREFIX: &[u8] = b"griot 1 request";

/// The most that a direct payload can hold.
pub(super) const DIRECT_BYTES_MAX: usize = BUCKETS[BUCKETS.len() - 1] - NONCE_BYTES - TAG_BYTES - LENGTH_BYTES;

/// Seals `content` for a direct mailbox.
pub(super) fn seal_direct(
    rng: &mut dyn CryptoRng,
    key: &[u8; 32],
    address: &Address,
    content: &[u8],
) -> Result<Vec<u8>, ClientError> {
    let plain = pad(content, NONCE_BYTES + TAG_BYTES, DIRECT_BYTES_MAX)?;
    let mut nonce = [0; NONCE_BYTES];
    rng.fill_bytes(&mut nonce);
    let sealed = XChaCha20Poly1305::new(key.into())
        .encrypt(&XNonce::from(nonce), Payload { msg: &plain, aad: address.as_bytes() })
        .map_err(|_| ClientError::Crypto("the message could not be sealed"))?;
    let mut payload = vec![SUITE_DIRECT];
    payload.extend_from_slice(&nonce);
    payload.extend(sealed);
    Ok(payload)
}

/// Opens what [`seal_direct`] made; `None` where anything about it is wrong.
pub(super) fn open_direct(key: &[u8; 32], address: &Address, payload: &[u8]) -> Option<Vec<u8>> {
    let (&suite, rest) = payload.split_first()?;
    if suite != SUITE_DIRECT {
        return None;
    }
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
    let plain = XChaCha20Poly1305::new(key.into())
        .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: address.as_bytes() })
        .ok()?;
    unpad(&plain)
}

/// A new HPKE key pair: private, public.
pub(super) fn request_keys(mut rng: &mut dyn CryptoRng) -> ([u8; 32], [u8; 32]) {
    let (private, public) = X25519HkdfSha256::gen_keypair_with_rng(&mut rng);
    (private.to_bytes().into(), public.to_bytes().into())
}

/// Seals a request to an invite's key.
pub(super) fn seal_request(
    mut rng: &mut dyn CryptoRng,
    public: &[u8; 32],
    address: &Address,
    content: &[u8],
) -> Result<Vec<u8>, ClientError> {
    let failed = |_| ClientError::Crypto("the request could not be sealed: the link's key is not valid");
    let max = BUCKETS[BUCKETS.len() - 1] - ENCAPPED_BYTES - TAG_BYTES - LENGTH_BYTES;
    let plain = pad(content, ENCAPPED_BYTES + TAG_BYTES, max)?;
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(public).map_err(failed)?;
    let (encapped, mut context) = hpke::setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        &info(address),
        &mut rng,
    )
    .map_err(failed)?;
    let sealed = context.seal(&plain, &[]).map_err(failed)?;
    let mut payload = vec![SUITE_REQUEST];
    payload.extend_from_slice(&encapped.to_bytes());
    payload.extend(sealed);
    Ok(payload)
}

/// Opens what [`seal_request`] made; `None` where anything about it is wrong.
pub(super) fn open_request(private: &[u8; 32], address: &Address, payload: &[u8]) -> Option<Vec<u8>> {
    let (&suite, rest) = payload.split_first()?;
    if suite != SUITE_REQUEST {
        return None;
    }
    let (encapped, sealed) = rest.split_first_chunk::<ENCAPPED_BYTES>()?;
    let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(private).ok()?;
    let encapped = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapped).ok()?;
    let mut context = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &private,
        &encapped,
        &info(address),
    )
    .ok()?;
    unpad(&context.open(sealed, &[]).ok()?)
}

fn info(address: &Address) -> Vec<u8> {
    [INFO_PREFIX, address.as_bytes()].concat()
}

/// Pads so that the ciphertext, `overhead` longer, fills a bucket.
fn pad(content: &[u8], overhead: usize, max: usize) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let too_large = || ClientError::TooLarge { bytes: content.len(), max };
    let bucket = padding::bucket_for(content.len() + LENGTH_BYTES + overhead).ok_or_else(too_large)?;
    let mut plain = Zeroizing::new(Vec::with_capacity(bucket));
    plain.extend_from_slice(&(content.len() as u32).to_le_bytes());
    plain.extend_from_slice(content);
    plain.resize(bucket - overhead, 0);
    Ok(plain)
}

/// Takes the padding off; `None` where it is not as [`pad`] made it.
fn unpad(plain: &[u8]) -> Option<Vec<u8>> {
    let (len, rest) = plain.split_first_chunk::<LENGTH_BYTES>()?;
    let (content, zeros) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    zeros.iter().all(|byte| *byte == 0).then(|| content.to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_sealed_payload_fills_a_bucket_and_opens_for_its_mailbox_only(content in prop::collection::vec(any::<u8>(), 0..5_000)) {
            let mut rng = StdRng::seed_from_u64(1);
            let (here, there) = (Address([1; 32]), Address([2; 32]));
            let (private, public) = request_keys(&mut rng);
            let direct = seal_direct(&mut rng, &[7; 32], &here, &content).unwrap();
            let request = seal_request(&mut rng, &public, &here, &content).unwrap();
            for payload in [&direct, &request] {
                prop_assert!(padding::check(payload).is_ok());
            }
            prop_assert_eq!(open_direct(&[7; 32], &here, &direct), Some(content.clone()));
            prop_assert_eq!(open_direct(&[7; 32], &there, &direct), None);
            prop_assert_eq!(open_direct(&[8; 32], &here, &direct), None);
            prop_assert_eq!(open_request(&private, &here, &request), Some(content));
            prop_assert_eq!(open_request(&private, &there, &request), None);
            prop_assert_eq!(open_direct(&[7; 32], &here, &request), None);
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let address = Address([1; 32]);
            prop_assert_eq!(open_direct(&[7; 32], &address, &bytes), None);
            prop_assert_eq!(open_request(&[7; 32], &address, &bytes), None);
            let _ = unpad(&bytes);
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_says_how_much_does() {
        let mut rng = StdRng::seed_from_u64(1);
        let address = Address([1; 32]);
        let largest = vec![1; DIRECT_BYTES_MAX];
        assert!(seal_direct(&mut rng, &[7; 32], &address, &largest).is_ok());
        let error = seal_direct(&mut rng, &[7; 32], &address, &vec![1; DIRECT_BYTES_MAX + 1]);
        assert!(matches!(error, Err(ClientError::TooLarge { max: DIRECT_BYTES_MAX, .. })));
    }
}
