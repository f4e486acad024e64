//! The node's API, call by call, on one [`Connection`].

use bytes::Bytes;
use griot_protocol::{
    Address, Cursor, RecordId,
    api::{Accepted, NodeInfo, Nonces, RecordStatus, Registered, Registration, Unregistration},
    feed,
};
use hyper::{HeaderMap, Method};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    connection::{Ask, Connection},
    error::HomeError,
};

/// Bytes of a small JSON answer: node information with a hundred addresses and warnings.
const SMALL_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a record's status: 16 receipts and 16 acks of 256 items (about 9 and 11 KiB), in base64.
const STATUS_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a page: nodes stop at 1 MiB, and one envelope and the cursors may lie over it.
const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The header by which a page says that more waits beyond it.
const MORE_HEADER: &str = "griot-more";

/// How many nonces are asked for at once: an account's mailboxes at one home, for most accounts.
const NONCES_WANTED: usize = 16;

/// One page of a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Envelopes in order, each with the cursor after it.
    pub entries: Vec<(Cursor, Bytes)>,
    /// Whether more wait beyond these.
    pub more: bool,
}

impl Connection {
    /// `GET /v1/node`.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn greet(&mut self) -> Result<NodeInfo, HomeError> {
        let answer = self.ask(get("/v1/node", SMALL_BYTES_MAX)).await?;
        json(&answer.body)
    }

    /// `POST /v1/nonces`: for the proofs of the next registrations.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn nonces(&mut self) -> Result<Nonces, HomeError> {
        let path = format!("/v1/nonces?count={NONCES_WANTED}");
        let answer = self.ask(Ask { method: Method::POST, ..get(&path, SMALL_BYTES_MAX) }).await?;
        let nonces: Nonces = json(&answer.body)?;
        if nonces.nonces.is_empty() {
            return Err(HomeError::NotANode("it gave no nonces".to_owned()));
        }
        Ok(nonces)
    }

    /// `PUT /v1/mailboxes/{address}`.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn register(&mut self, address: &Address, body: &Registration) -> Result<Registered, HomeError> {
        let path = format!("/v1/mailboxes/{address}");
        let answer = self.ask(with_json(Method::PUT, &path, body)?).await?;
        let registered: Registered = json(&answer.body)?;
        if registered.address != *address {
            return Err(HomeError::NotANode("it confirmed another mailbox than the one asked for".to_owned()));
        }
        Ok(registered)
    }

    /// `DELETE /v1/mailboxes/{address}`. A registration that is not there is gone, too.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn unregister(&mut self, address: &Address, body: &Unregistration) -> Result<(), HomeError> {
        let path = format!("/v1/mailboxes/{address}");
        match self.ask(with_json(Method::DELETE, &path, body)?).await {
            Ok(_) => Ok(()),
            Err(HomeError::Refused(problem)) if problem.status == 404 => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// `POST /v1/records`: returns once the frame is on the home's disk.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn submit(&mut self, frame: Bytes) -> Result<Accepted, HomeError> {
        let ask = Ask {
            method: Method::POST,
            path: "/v1/records",
            content_type: Some("application/octet-stream"),
            body: frame,
            answer_bytes_max: SMALL_BYTES_MAX,
        };
        json(&self.ask(ask).await?.body)
    }

    /// `GET /v1/mailboxes/{address}/records?after=`: the next page.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn fetch(&mut self, address: &Address, after: Option<Cursor>) -> Result<Page, HomeError> {
        let mut path = format!("/v1/mailboxes/{address}/records");
        if let Some(cursor) = after {
            path.push_str(&format!("?after={cursor}"));
        }
        let answer = self.ask(get(&path, PAGE_BYTES_MAX)).await?;
        let read = feed::read_page(&answer.body).map_err(|e| HomeError::NotANode(e.to_string()))?;
        let entries: Vec<_> = read.into_iter().map(|(cursor, frame)| (cursor, answer.body.slice_ref(frame))).collect();
        let more = has_more(&answer.headers, !entries.is_empty());
        Ok(Page { entries, more })
    }

    /// `GET /v1/records/{id}`; `None` where the home knows nothing of it.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn status(&mut self, id: &RecordId) -> Result<Option<RecordStatus>, HomeError> {
        let path = format!("/v1/records/{id}");
        match self.ask(get(&path, STATUS_BYTES_MAX)).await {
            Ok(answer) => {
                let status: RecordStatus = json(&answer.body)?;
                if status.id != *id {
                    return Err(HomeError::NotANode("it answered about another record".to_owned()));
                }
                Ok(Some(status))
            }
            Err(HomeError::Refused(problem)) if problem.status == 404 => Ok(None),
            Err(other) => Err(other),
        }
    }
}

/// Whether more waits beyond a page. A node that does not say is asked again, until a page is empty.
fn has_more(headers: &HeaderMap, brought_some: bool) -> bool {
    match headers.get(MORE_HEADER).and_then(|v| v.to_str().ok()) {
        // An empty page that promises more would be asked for without end.
        Some(value) => brought_some && matches!(value, "true" | "1"),
        None => brought_some,
    }
}

fn get(path: &str, answer_bytes_max: usize) -> Ask<'_> {
    Ask { method: Method::GET, path, content_type: None, body: Bytes::new(), answer_bytes_max }
}

fn with_json<'a>(method: Method, path: &'a str, body: &impl Serialize) -> Result<Ask<'a>, HomeError> {
    let body = serde_json::to_vec(body).map_err(|e| HomeError::Unreachable(e.to_string()))?;
    Ok(Ask {
        method,
        path,
        content_type: Some("application/json"),
        body: Bytes::from(body),
        answer_bytes_max: SMALL_BYTES_MAX,
    })
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, HomeError> {
    serde_json::from_slice(body).map_err(|e| HomeError::NotANode(format!("its answer is not the expected JSON ({e})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_page_ends_the_reading_whatever_it_promises() {
        let mut headers = HeaderMap::new();
        assert!(has_more(&headers, true));
        assert!(!has_more(&headers, false));
        headers.insert(MORE_HEADER, "true".parse().unwrap());
        assert!(has_more(&headers, true));
        assert!(!has_more(&headers, false));
        headers.insert(MORE_HEADER, "false".parse().unwrap());
        assert!(!has_more(&headers, true));
    }
}
